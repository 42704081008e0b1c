//! Profiles and the features that each brings.

use std::fmt;

use crate::decision::Features;

/// A profile: how careful, how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A laptop.
    #[default]
    Dev,
    /// A small cluster near its callers.
    Edge,
    /// A production cluster.
    Full,
}

impl Profile {
    /// Reads a profile's name or alias, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "dev" => Some(Self::Dev),
            "edge" => Some(Self::Edge),
            "full" | "prod" | "production" => Some(Self::Full),
            _ => None,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Edge => "edge",
            Self::Full => "full",
        }
    }

    /// Features that are on unless a variable says otherwise.
    pub fn features(self) -> Features {
        match self {
            Self::Dev => Features::default(),
            Self::Edge => Features { hpa: true, prometheus: true, leader_election: true, ..Features::default() },
            Self::Full => Features {
                nfr_enforcement: true,
                hpa: true,
                prometheus: true,
                leader_election: true,
                odgm: true,
                mtls: true,
                knative: false,
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
