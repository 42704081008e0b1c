//! What a class may have beside its functions: the addons that this program knows.

/// Addon that brings an Object Data Grid Manager.
pub const ADDON_ODGM: &str = "odgm";
/// Addon that keeps the cluster's own work (a node that is drained, say) from taking too many pods at once.
pub const ADDON_PDB: &str = "pdb";
/// Addon that has Prometheus scrape the functions.
pub const ADDON_MONITOR: &str = "monitor";

/// Names of all addons, in order, each with the other names that records may use.
const ADDONS: [(&str, &[&str]); 3] =
    [(ADDON_ODGM, &[]), (ADDON_PDB, &["pod-disruption-budget"]), (ADDON_MONITOR, &["service-monitor", "pod-monitor"])];

/// The addon that a record means by `asked`, under its own name.
pub fn addon(asked: &str) -> Option<&'static str> {
    let found = ADDONS.iter().find(|(name, aliases)| *name == asked || aliases.contains(&asked));
    found.map(|(name, _)| *name)
}

/// Names of all addons, for people.
pub fn addons() -> String {
    ADDONS.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::{ADDON_PDB, addon, addons};

    #[test]
    fn an_addon_is_known_by_its_name_and_by_its_long_one() {
        assert_eq!((addon("pdb"), addon("pod-disruption-budget")), (Some(ADDON_PDB), Some(ADDON_PDB)));
        assert_eq!((addon("PDB"), addon("cache")), (None, None));
        assert_eq!(addons(), "odgm, pdb, monitor");
    }
}
