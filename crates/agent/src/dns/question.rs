//! A DNS question, and what an answer to it says.

use eksnet_probe::{Answer, DnsOutcome, QueryType};
use hickory_proto::op::{Header, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

/// Most answer records kept per try; the endpoints of AWS answer with fewer than ten.
const MAX_ANSWERS: usize = 32;

/// A query with its random id, ready to be sent.
#[derive(Debug)]
pub(crate) struct Question {
    query: Query,
    id: u16,
    bytes: Vec<u8>,
}

impl Question {
    /// A recursive query for the fully qualified `name`, without EDNS: that is how programs in
    /// pods ask, and a large answer shows as truncated.
    ///
    /// # Errors
    /// A sentence, when `name` is no DNS name.
    pub(crate) fn new(name: &str, query: QueryType) -> Result<Self, String> {
        let refused = |error: &dyn std::fmt::Display| {
            format!(
                "{} is no DNS name: {error}",
                crate::text::bounded(&format!("{name:?}"))
            )
        };
        let mut qualified = Name::from_ascii(name).map_err(|error| refused(&error))?;
        qualified.set_fqdn(true);
        let query = Query::query(qualified, record_type(query));
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let bytes = message.to_vec().map_err(|error| refused(&error))?;
        Ok(Self {
            query,
            id: message.metadata.id,
            bytes,
        })
    }

    /// The message to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What `answer` says; `None` when it does not answer this question.
    pub(crate) fn judge(&self, answer: &[u8]) -> Option<(DnsOutcome, Vec<Answer>)> {
        let Ok(message) = Message::from_vec(answer) else {
            return self
                .is_cut_short(answer)
                .then_some((DnsOutcome::Truncated, Vec::new()));
        };
        if !self.is_answered_by(&message) {
            return None;
        }
        let answers = message.answers.iter().take(MAX_ANSWERS).map(brief);
        let outcome = match message.metadata.response_code {
            ResponseCode::NoError if message.metadata.truncation => DnsOutcome::Truncated,
            ResponseCode::NoError if self.has_type(&message.answers) => DnsOutcome::Ok,
            ResponseCode::NoError => DnsOutcome::Nodata,
            ResponseCode::NXDomain => DnsOutcome::Nxdomain,
            ResponseCode::ServFail => DnsOutcome::Servfail,
            ResponseCode::Refused => DnsOutcome::Refused,
            _ => DnsOutcome::OtherRcode,
        };
        Some((outcome, answers.collect()))
    }

    /// A server that refuses or fails may leave the question out of its answer (RFC 1035 says
    /// nothing of it, BIND and others do it for FORMERR); one that answers may not.
    fn is_answered_by(&self, message: &Message) -> bool {
        let same_question = match message.queries.as_slice() {
            [query] => {
                query.query_type == self.query.query_type
                    && query.query_class == self.query.query_class
                    && query.name == self.query.name
            }
            [] => !matches!(
                message.metadata.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            ),
            _ => false,
        };
        message.metadata.id == self.id
            && message.metadata.message_type == MessageType::Response
            && same_question
    }

    /// Whether `answer` is ours, says that it was truncated, and ends within a record.
    fn is_cut_short(&self, answer: &[u8]) -> bool {
        Header::read(&mut BinDecoder::new(answer)).is_ok_and(|header| {
            header.metadata.id == self.id
                && header.metadata.message_type == MessageType::Response
                && header.metadata.truncation
        })
    }

    fn has_type(&self, answers: &[Record]) -> bool {
        answers
            .iter()
            .any(|record| record.record_type() == self.query.query_type)
    }
}

fn record_type(query: QueryType) -> RecordType {
    match query {
        QueryType::A => RecordType::A,
        QueryType::Aaaa => RecordType::AAAA,
        QueryType::Txt => RecordType::TXT,
    }
}

fn brief(record: &Record) -> Answer {
    match &record.data {
        RData::A(address) => Answer::Address(address.0.into()),
        RData::AAAA(address) => Answer::Address(address.0.into()),
        RData::CNAME(name) => Answer::Alias(name.to_ascii()),
        other => Answer::Other(other.record_type().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    fn question() -> Question {
        Question::new("sts.us-west-2.amazonaws.com", QueryType::A).unwrap()
    }

    fn reply(question: &Question, code: ResponseCode) -> Message {
        let mut message = Message::from_vec(question.bytes()).unwrap();
        message.metadata.message_type = MessageType::Response;
        message.metadata.response_code = code;
        message
    }

    fn judged(question: &Question, message: &Message) -> Option<DnsOutcome> {
        question
            .judge(&message.to_vec().unwrap())
            .map(|(outcome, _)| outcome)
    }

    fn address(question: &Question) -> Record {
        Record::from_rdata(
            question.query.name.clone(),
            30,
            RData::A(A([10, 0, 0, 7].into())),
        )
    }

    fn alias(question: &Question) -> Record {
        let target = Name::from_ascii("vpce.example.").unwrap();
        Record::from_rdata(question.query.name.clone(), 30, RData::CNAME(CNAME(target)))
    }

    #[test]
    fn a_query_asks_for_recursion_without_edns_and_is_fully_qualified() {
        let message = Message::from_vec(question().bytes()).unwrap();
        assert!(message.metadata.recursion_desired);
        assert!(message.edns.is_none());
        assert_eq!(
            message.queries[0].name.to_ascii(),
            "sts.us-west-2.amazonaws.com."
        );
    }

    #[test]
    fn every_response_code_has_its_outcome() {
        let question = question();
        for (code, outcome) in [
            (ResponseCode::NoError, DnsOutcome::Nodata),
            (ResponseCode::NXDomain, DnsOutcome::Nxdomain),
            (ResponseCode::ServFail, DnsOutcome::Servfail),
            (ResponseCode::Refused, DnsOutcome::Refused),
            (ResponseCode::FormErr, DnsOutcome::OtherRcode),
            (ResponseCode::NotImp, DnsOutcome::OtherRcode),
        ] {
            assert_eq!(
                judged(&question, &reply(&question, code)),
                Some(outcome),
                "{code}"
            );
        }
    }

    #[test]
    fn an_alias_that_leads_to_no_address_is_nodata() {
        let question = question();
        let mut message = reply(&question, ResponseCode::NoError);
        message.add_answer(alias(&question));
        assert_eq!(judged(&question, &message), Some(DnsOutcome::Nodata));
        message.add_answer(address(&question));
        let (outcome, answers) = question.judge(&message.to_vec().unwrap()).unwrap();
        assert_eq!(outcome, DnsOutcome::Ok);
        assert_eq!(
            answers,
            [
                Answer::Alias("vpce.example.".to_owned()),
                Answer::Address([10, 0, 0, 7].into())
            ]
        );
    }

    #[test]
    fn a_truncated_answer_is_told_even_when_it_ends_within_a_record() {
        let question = question();
        let mut message = reply(&question, ResponseCode::NoError);
        message.add_answer(address(&question));
        message.metadata.truncation = true;
        let bytes = message.to_vec().unwrap();
        assert_eq!(question.judge(&bytes).unwrap().0, DnsOutcome::Truncated);
        let cut = &bytes[..bytes.len() - 3];
        assert_eq!(question.judge(cut).unwrap().0, DnsOutcome::Truncated);
    }

    #[test]
    fn an_answer_with_another_id_name_or_type_is_none_to_this_question() {
        let question = question();
        let mut wrong_id = reply(&question, ResponseCode::NoError);
        wrong_id.metadata.id = wrong_id.metadata.id.wrapping_add(1);
        assert_eq!(judged(&question, &wrong_id), None);

        let mut wrong_name = reply(&question, ResponseCode::NoError);
        wrong_name.queries[0].name = Name::from_ascii("other.example.").unwrap();
        assert_eq!(judged(&question, &wrong_name), None);

        let mut wrong_type = reply(&question, ResponseCode::NoError);
        wrong_type.queries[0].query_type = RecordType::AAAA;
        assert_eq!(judged(&question, &wrong_type), None);

        let mut an_echo = reply(&question, ResponseCode::NoError);
        an_echo.metadata.message_type = MessageType::Query;
        assert_eq!(judged(&question, &an_echo), None);
    }

    #[test]
    fn a_name_in_other_letters_is_the_same_name() {
        let question = question();
        let mut message = reply(&question, ResponseCode::NXDomain);
        message.queries[0].name = Name::from_ascii("STS.us-west-2.AmazonAWS.com.").unwrap();
        assert_eq!(judged(&question, &message), Some(DnsOutcome::Nxdomain));
    }

    #[test]
    fn only_an_error_may_leave_the_question_out() {
        let question = question();
        let mut refused = reply(&question, ResponseCode::Refused);
        refused.queries.clear();
        assert_eq!(judged(&question, &refused), Some(DnsOutcome::Refused));
        let mut missing = reply(&question, ResponseCode::NXDomain);
        missing.queries.clear();
        assert_eq!(judged(&question, &missing), None);
    }

    #[test]
    fn bytes_that_are_no_message_are_no_answer() {
        let question = question();
        assert!(question.judge(b"").is_none());
        assert!(
            question
                .judge(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .is_none()
        );
        assert!(question.judge(&[0xff; 512]).is_none());
    }

    #[test]
    fn answers_of_a_flooding_server_are_bounded() {
        let question = question();
        let mut message = reply(&question, ResponseCode::NoError);
        for _ in 0..200 {
            message.add_answer(address(&question));
        }
        let (outcome, answers) = question.judge(&message.to_vec().unwrap()).unwrap();
        assert_eq!(outcome, DnsOutcome::Ok);
        assert_eq!(answers.len(), MAX_ANSWERS);
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_its_text() {
        let why = Question::new(&"x".repeat(64), QueryType::A).unwrap_err();
        assert!(why.contains("is no DNS name"), "{why}");
        assert!(Question::new("a..b", QueryType::A).is_err());
    }
}
