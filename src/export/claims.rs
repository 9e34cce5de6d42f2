//! The rules about claims, claim templates and ephemeral volumes.

use super::parts::{Kinds, Written, fits_any, literal};

const CLAIMS: Kinds =
    Kinds { pods: true, claims: true, volumes: false, classes: false, resized: false, made: false };

/// Every claim that an object is or asks for.
const ASKED: &str = "(request.kind.kind == 'PersistentVolumeClaim' ? [object] : []) + (request.kind.kind == 'StatefulSet' && \
     has(object.spec.volumeClaimTemplates) ? object.spec.volumeClaimTemplates : []) + variables.volumes.filter(v, \
     has(v.ephemeral)).map(v, v.ephemeral.volumeClaimTemplate)";

fn about(kinds: Kinds) -> Written {
    Written::about(kinds).with_pods().variable("claims", ASKED)
}

/// Which access modes may be asked for.
pub(super) fn access_modes(allow: &[&str], for_all_classes: bool) -> Result<Written, String> {
    if !for_all_classes {
        return Err(
            "its lists differ by class, and the class of a claim that names none is the cluster's default"
                .to_owned(),
        );
    }
    if allow.is_empty() {
        return Err("it asks whether a class is a local one, which the StorageClass says".to_owned());
    }
    let modes: Vec<String> = allow.iter().map(|mode| literal(mode)).collect();
    let written = about(CLAIMS).validation(
        format!(
            "variables.claims.all(c, has(c.spec.accessModes) && c.spec.accessModes.size() > 0 && c.spec.accessModes.all(m, m in \
             [{}]))",
            modes.join(", ")
        ),
        format!("a claim asks for an access mode that the policy does not allow; write {}", allow.join(" or ")),
    );
    Ok(match allow.iter().any(|mode| mode.ends_with("Many")) {
        true => written.left("whether the class of a claim that many nodes are to use is a local one"),
        false => written,
    })
}

/// Which classes may be asked for.
pub(super) fn claim_class(
    allow: &[String],
    deny: &[String],
    must_exist: bool,
    require_name: bool,
    allows_none: bool,
) -> Result<Written, String> {
    if allow.is_empty() && deny.is_empty() && !require_name && allows_none {
        return Err("it asks whether a class exists".to_owned());
    }
    // No class is called by a space: that stands for none.
    let class = "has(c.metadata) && has(c.metadata.annotations) && 'volume.beta.kubernetes.io/storage-class' in \
                 c.metadata.annotations ? c.metadata.annotations['volume.beta.kubernetes.io/storage-class'] : \
                 has(c.spec.storageClassName) ? c.spec.storageClassName : ' '";
    let mut written = about(CLAIMS).variable("classes", format!("variables.claims.map(c, {class})"));
    let is_name = "k == ' ' || k == ''";
    if !allow.is_empty() {
        written = written.validation(
            format!("variables.classes.all(k, {is_name} || {})", fits_any("k", allow)),
            format!(
                "a claim asks for a class that the policy does not allow; it allows {}",
                allow.join(", ")
            ),
        );
    }
    if !deny.is_empty() {
        written = written.validation(
            format!("variables.classes.all(k, {is_name} || !{})", fits_any("k", deny)),
            format!("a claim asks for a class that the policy denies: {}", deny.join(", ")),
        );
    }
    if !allows_none {
        written = written.validation(
            "variables.classes.all(k, k != '')".to_owned(),
            "a claim asks for a volume without a class (\"\"), which the policy does not allow",
        );
    }
    if require_name {
        written = written.validation(
            "variables.classes.all(k, k != ' ')".to_owned(),
            "a claim names no class, which the policy wants of every claim",
        );
    } else if !(allow.is_empty() && deny.is_empty()) {
        written = written.left("the cluster's default class, where a claim names none");
    }
    Ok(if must_exist { written.left("whether the class exists") } else { written })
}

/// The size that claims may ask for.
pub(super) fn claim_size(
    min: Option<&str>,
    max: Option<&str>,
    for_all_classes: bool,
) -> Result<Written, String> {
    if !for_all_classes {
        return Err(
            "its bounds differ by class, and the class of a claim that names none is the cluster's default"
                .to_owned(),
        );
    }
    let kinds = Kinds { resized: true, made: true, ..CLAIMS };
    let size = "quantity(string(c.spec.resources.requests.storage))";
    // A claim may always become smaller: so one recovers from an expansion for which there was no room. And what is not about
    // its size is the binding's own doing.
    let written = about(kinds)
        .variable(
            "grows",
            "request.operation == 'CREATE' || request.kind.kind != 'PersistentVolumeClaim' || \
             quantity(string(object.spec.resources.requests.storage)).isGreaterThan(\
             quantity(string(oldObject.spec.resources.requests.storage)))",
        )
        .validation(
            "!variables.grows || variables.claims.all(c, has(c.spec.resources) && has(c.spec.resources.requests) && 'storage' \
             in c.spec.resources.requests)"
                .to_owned(),
            "a claim asks for no size",
        );
    let bound = |written: Written, limit: Option<&str>, compared: &str, what: &str| match limit {
        Some(limit) => written.validation(
            format!(
                "!variables.grows || variables.claims.all(c, {size}.compareTo(quantity({})) {compared} 0)",
                literal(limit)
            ),
            format!("a claim asks for {what} than the policy allows, which is {limit}"),
        ),
        None => written,
    };
    let written = bound(written, min, ">=", "less");
    Ok(bound(written, max, "<=", "more"))
}
