//! Answers and errors in the shape of each protocol.

use serde_json::{Value, json};

use crate::aws::call::{AwsCall, Protocol};
use crate::aws::xml;
use crate::net::reply::Reply;

/// What a call is answered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The members of the result, under the names that they have on the wire. For EC2 and the
    /// query services they become XML with its envelope (`<DescribeSubnetsResponse>`, request id),
    /// for others JSON.
    Fields(Value),
    /// The whole body as it goes over the wire: a pasted response.
    Text(String),
    /// An error.
    Error {
        /// HTTP status.
        status: u16,
        /// Code of the error, such as `AccessDenied`.
        code: String,
        /// Its text.
        message: String,
    },
}

impl Answer {
    /// An error of AWS.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::Error {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The action is not allowed to `arn`, in the words of the service.
    #[must_use]
    pub fn denied(call: &AwsCall, arn: &str) -> Self {
        let action = format!("{}:{}", call.service, call.action);
        let why = format!(
            "User: {arn} is not authorized to perform: {action} because no identity-based policy allows the {action} action"
        );
        match call.protocol {
            Protocol::Ec2 => Self::error(
                403,
                "UnauthorizedOperation",
                &format!("You are not authorized to perform this operation. {why}"),
            ),
            Protocol::Query => Self::error(403, "AccessDenied", &why),
            Protocol::RestJson => Self::error(403, "AccessDeniedException", &why),
            Protocol::Json => Self::error(400, "AccessDeniedException", &why),
        }
    }

    /// Too many calls, in the words of the service.
    #[must_use]
    pub fn throttled(call: &AwsCall) -> Self {
        match call.protocol {
            Protocol::Ec2 => Self::error(503, "RequestLimitExceeded", "Request limit exceeded."),
            Protocol::Query => Self::error(400, "Throttling", "Rate exceeded"),
            Protocol::RestJson => Self::error(429, "ThrottlingException", "Rate exceeded"),
            Protocol::Json => Self::error(400, "ThrottlingException", "Rate exceeded"),
        }
    }

    /// The session behind the credentials has ended, in the words of the service.
    #[must_use]
    pub fn expired(call: &AwsCall) -> Self {
        let said = "The security token included in the request is expired";
        match call.protocol {
            Protocol::Ec2 => Self::error(400, "RequestExpired", "Request has expired."),
            Protocol::Query => Self::error(403, "ExpiredToken", said),
            Protocol::RestJson => Self::error(403, "ExpiredTokenException", said),
            Protocol::Json => Self::error(400, "ExpiredTokenException", said),
        }
    }

    pub(crate) fn reply(&self, call: &AwsCall) -> Reply {
        let id = format!("00000000-0000-4000-8000-{:012x}", call.request.number);
        let reply = match self {
            Self::Text(text) if is_xml(call.protocol) => Reply::xml(text.clone()),
            Self::Text(text) => Reply::new(200, "application/json", text.clone()),
            Self::Fields(fields) if is_xml(call.protocol) => {
                Reply::xml(envelope(call, fields, &id))
            }
            Self::Fields(fields) => Reply::json(200, fields),
            Self::Error {
                status,
                code,
                message,
            } => error(call.protocol, *status, code, message, &id),
        };
        reply.header("x-amzn-requestid", &id)
    }
}

impl From<Value> for Answer {
    fn from(fields: Value) -> Self {
        Self::Fields(fields)
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

fn is_xml(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Ec2 | Protocol::Query)
}

fn envelope(call: &AwsCall, fields: &Value, id: &str) -> String {
    let action = &call.action;
    let space = match call.service.as_str() {
        "ec2" => "http://ec2.amazonaws.com/doc/2016-11-15/",
        "autoscaling" => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        _ => "https://sts.amazonaws.com/doc/2011-06-15/",
    };
    let mut out = format!("<{action}Response xmlns=\"{space}\">");
    if call.protocol == Protocol::Ec2 {
        out.push_str(&format!("<requestId>{id}</requestId>"));
        xml::members(&mut out, fields, "item");
    } else {
        xml::element(&mut out, &format!("{action}Result"), fields, "member");
        out.push_str(&format!(
            "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>"
        ));
    }
    out.push_str(&format!("</{action}Response>"));
    out
}

fn error(protocol: Protocol, status: u16, code: &str, message: &str, id: &str) -> Reply {
    let error = json!({"Code": code, "Message": message});
    let xml = |text: String| Reply::new(status, "text/xml;charset=UTF-8", text);
    match protocol {
        Protocol::Ec2 => {
            let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>");
            xml::element(&mut out, "Errors", &json!({"Error": error}), "item");
            xml::element(&mut out, "RequestID", &json!(id), "item");
            xml(out + "</Response>")
        }
        Protocol::Query => {
            let kind = if status < 500 { "Sender" } else { "Receiver" };
            let error = json!({"Type": kind, "Code": code, "Message": message});
            let mut out = String::from("<ErrorResponse>");
            xml::element(&mut out, "Error", &error, "member");
            xml::element(&mut out, "RequestId", &json!(id), "member");
            xml(out + "</ErrorResponse>")
        }
        Protocol::RestJson => {
            Reply::json(status, &json!({"message": message})).header("x-amzn-errortype", code)
        }
        Protocol::Json => Reply::json(status, &json!({"__type": code, "message": message})),
    }
}
