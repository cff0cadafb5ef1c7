//! What a broker says when it refuses: Kafka's error code, its own words where it has some, and what to do.

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::fmt;

/// A refusal of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    code: i16,
    said: Option<String>,
}

/// Refusals that commands act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such topic or partition.
    UnknownTopic,
    /// There is such a topic.
    TopicExists,
    /// There is no such group.
    UnknownGroup,
    /// It passes when it is asked again, of the coordinator that there is by then.
    CoordinatorMoved,
    /// Any other.
    Other,
}

impl Refused {
    /// Whether a code with an optional message is a refusal. What a broker does not say, this program does.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(code: i16, message: Option<&StrBytes>) -> Result<(), Self> {
        match code {
            0 => Ok(()),
            code => Err(Self { code, said: message.map(ToString::to_string).filter(|message| !message.is_empty()) }),
        }
    }

    /// What a broker would refuse with that error.
    pub(super) fn by(error: ResponseError) -> Self {
        Self { code: error.code(), said: None }
    }

    /// What commands make of it.
    pub fn kind(&self) -> Kind {
        use ResponseError as E;
        match ResponseError::try_from_code(self.code) {
            Some(E::UnknownTopicOrPartition | E::UnknownTopicId) => Kind::UnknownTopic,
            Some(E::TopicAlreadyExists) => Kind::TopicExists,
            Some(E::GroupIdNotFound) => Kind::UnknownGroup,
            Some(E::CoordinatorLoadInProgress | E::CoordinatorNotAvailable | E::NotCoordinator) => {
                Kind::CoordinatorMoved
            }
            _ => Kind::Other,
        }
    }

    /// What this program says to a code where the broker says nothing, or says it better.
    fn explained(&self) -> Option<&'static str> {
        use ResponseError as E;
        Some(match ResponseError::try_from_code(self.code)? {
            E::UnknownTopicOrPartition | E::UnknownTopicId => {
                "there is none of that name; `pelton topic list` shows what there is"
            }
            E::LeaderNotAvailable => "the partition has no leader now; is its broker running?",
            E::GroupIdNotFound => "there is no such group; `pelton group list` shows what there is",
            E::NonEmptyGroup => "the group has members; stop its consumers first",
            E::UnknownMemberId | E::IllegalGeneration | E::RebalanceInProgress => {
                "the group has members now; stop its consumers first"
            }
            E::GroupSubscribedToTopic => "members of the group subscribe to the topic; stop them first",
            _ => return None,
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(explained) = self.explained() {
            return f.write_str(explained);
        }
        match (&self.said, ResponseError::try_from_code(self.code)) {
            (Some(said), _) => f.write_str(said),
            (None, Some(ResponseError::InvalidTopicException)) => f.write_str(
                "the name is not allowed, or the topic is the broker's own; use letters, digits, `.`, `_` and `-`",
            ),
            (None, Some(error)) => write!(f, "the broker refuses it: {error} (error {})", self.code),
            (None, None) => write!(f, "the broker refuses it with error {}", self.code),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_broker_says_or_what_to_do() {
        let said = StrBytes::from_static_str("retention.ms: \"x\" is not a whole number");
        assert_eq!(Refused::check(40, Some(&said)).unwrap_err().to_string(), said.to_string());
        assert!(Refused::check(68, None).unwrap_err().to_string().contains("stop its consumers"));
        assert!(Refused::check(3, Some(&said)).unwrap_err().to_string().contains("pelton topic list"));
        assert!(Refused::check(44, None).unwrap_err().to_string().contains("PolicyViolation"));
        assert!(Refused::check(32_000, None).unwrap_err().to_string().contains("32000"));
        assert_eq!(Refused::check(0, Some(&said)), Ok(()));
        assert_eq!(Refused::check(16, None).unwrap_err().kind(), Kind::CoordinatorMoved);
    }
}
