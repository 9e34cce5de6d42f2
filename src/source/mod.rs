//! YAML and JSON text to documents with a byte span for every field.
/// stub
pub struct Document {
    /// v
    pub value: serde_json::Value,
}
/// stub
pub fn parse(_text: &str) -> Vec<Result<Document, String>> {
    Vec::new()
}
