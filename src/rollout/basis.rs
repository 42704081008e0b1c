//! What classes are decided by.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decision::{Decision, Setting, decide, explain, read_of};
use crate::model::Class;
use crate::policy::{File, Inputs, Policy};
use crate::render::{RenderSettings, Scrape};

/// A policy and the setting that it is asked in.
#[derive(Debug)]
pub struct Basis {
    id: String,
    /// The same without the commit, which decides nothing.
    rules: String,
    policy: Arc<Policy>,
    setting: Setting,
    fixed: Fixed,
    render: RenderSettings,
    source: Arc<Source>,
}

/// What the operator set for all classes, whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Image of all data grids.
    pub odgm_image: Option<String>,
    /// Which monitors there are to be.
    pub scrape: Scrape,
}

/// What a policy was compiled from: enough to compile it again, on another day by another program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where the files come from.
    pub origin: Origin,
    /// The files of the bundle.
    pub files: Vec<File>,
    /// The shipped files beneath; empty where the bundle stands alone.
    pub builtin: Vec<File>,
    /// Profile, and the variables that set a param.
    pub inputs: Inputs,
    /// Commit that the configuration names.
    pub commit: Option<String>,
}

/// Where a bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is part of the binary.
    Builtin,
    /// It stands in this directory.
    Directory(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Directory(path) => write!(f, "directory {path}"),
        }
    }
}

impl Basis {
    /// A policy, what it came from, the setting, and what the operator set for all classes.
    pub fn new(policy: Arc<Policy>, source: Arc<Source>, setting: Setting, fixed: &Fixed) -> Self {
        let Fixed { odgm_image, scrape } = fixed;
        let monitors = scrape.within(&setting.cluster);
        let mut rest = format!("\0{}\0{odgm_image:?}\0{monitors:?}", setting.profile);
        for (path, value) in read_of(&policy, &setting) {
            let _ = write!(rest, "\0{path}={value:?}");
        }
        let revision = policy.revision();
        let id = short_hash(&[revision, &rest]);
        let rules = short_hash(&[revision.split_once('@').map_or(revision, |(rules, _)| rules), &rest]);
        // With the feature off nothing more is applied; what was is let go by the record alone.
        let render = RenderSettings { odgm_image: odgm_image.clone(), enforcement: true, monitors };
        Self { id, rules, policy, setting, fixed: fixed.clone(), render, source }
    }

    /// The same policy in another setting.
    #[must_use]
    pub fn in_setting(&self, setting: Setting) -> Self {
        let (policy, source) = (Arc::clone(&self.policy), Arc::clone(&self.source));
        Self::new(policy, source, setting, &self.fixed)
    }

    /// Two bases with one id decide the same for every class: it is made of the policy's revision and of what the policy,
    /// and rendering, read of the setting.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the two decide the same for every class, whatever commits they come from.
    pub fn decides_as(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The setting.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// What the operator set for all classes.
    pub fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// What rendering needs besides class and plan.
    pub fn render(&self) -> &RenderSettings {
        &self.render
    }

    /// What the policy was compiled from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Decides for a class, which has the template `current`.
    pub fn decide(&self, class: &Class, current: Option<&str>) -> Decision {
        self.imaged(decide(&self.policy, class, &self.setting, current))
    }

    /// Decides the same, with what the rules read.
    pub fn explain(&self, class: &Class, current: Option<&str>) -> Decision {
        self.imaged(explain(&self.policy, class, &self.setting, current))
    }

    /// The operator's image of data grids is part of the outcome.
    fn imaged(&self, mut decision: Decision) -> Decision {
        let odgm = decision.template.as_mut().ok().and_then(|chosen| chosen.plan.odgm.as_mut());
        if let (Some(odgm), Some(image)) = (odgm, &self.render.odgm_image) {
            odgm.image.clone_from(image);
        }
        decision
    }
}

fn short_hash(parts: &[&str]) -> String {
    Sha256::digest(parts.concat()).iter().take(8).fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}
