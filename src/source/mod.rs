//! YAML and JSON text to documents with a byte span for every field.
