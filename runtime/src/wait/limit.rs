//! How long a wait may take.

use std::time::{Duration, Instant};

use crate::clock;

/// A limit on a wait, or on several with tries in between, which all pass the same one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Never,
    At(Instant),
    /// From when the first wait begins. No clock is read then: the worker does, before it sleeps or
    /// looks around next, for all that wait since it last did.
    After(Duration),
    /// The same, of which a wait is over that was so short that nobody has looked at a clock.
    Left(Duration),
}

impl Limit {
    /// The earlier one.
    pub(crate) fn or_at(self, deadline: Option<Instant>) -> Self {
        match deadline {
            None => self,
            Some(deadline) => Self::At(self.deadline().map_or(deadline, |own| own.min(deadline))),
        }
    }

    /// When it comes, given that it begins now at the latest.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(deadline) => Some(deadline),
            Self::After(duration) | Self::Left(duration) => clock::after(duration),
        }
    }
}

impl From<Option<Instant>> for Limit {
    fn from(deadline: Option<Instant>) -> Self {
        deadline.map_or(Self::Never, Self::At)
    }
}
