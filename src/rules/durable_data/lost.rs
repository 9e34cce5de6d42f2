//! What a finding says of the data that would be lost, for whoever writes a volume for it.

use super::asked::Asked;
use super::text::directory;
use crate::model::FieldPath;
use crate::storage::{DataPath, Why};
use crate::verdict::LostData;

/// How many directories of one container are named: no product has more.
const MOST_PATHS: usize = 32;

/// Data of which there is one thing to tell.
pub(super) fn lost_data(asked: &Asked<'_, '_, '_>, pod: &FieldPath, alike: &[&DataPath<'_, '_>]) -> LostData {
    let Some(data) = alike.first() else { return LostData::default() };
    let is_product = matches!(data.why, Why::Product { .. });
    let entry = is_product.then(|| asked.context.catalog.entry(data.container.image)).flatten();
    let claim = entry.and_then(|entry| entry.claim.as_ref());
    LostData {
        container: data.container.path(pod),
        paths: alike.iter().take(MOST_PATHS).filter_map(|data| directory(data)).map(str::to_owned).collect(),
        image_volume: data.image_volume.or(data.hidden_by).map(str::to_owned),
        size: claim.and_then(|claim| claim.size.clone()),
        sub_path: claim.and_then(|claim| claim.sub_path.clone()),
    }
}
