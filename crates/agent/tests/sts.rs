//! Who the pod is for AWS: every source of credentials, and every way in which it fails.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use eksnet_agent::{Environment, Surroundings, run};
use eksnet_probe::{Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, StsOutcome};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

const ARN: &str = "arn:aws:sts::123456789012:assumed-role/web/eksnet-agent";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.service-account-token";
const CREDENTIALS: &str = r#"{"Code":"Success","AccessKeyId":"ASIAGIVEN","SecretAccessKey":"given-secret","Token":"given-session","Expiration":"2099-01-01T00:00:00Z"}"#;

/// Answers by the first word that occurs in a request; what was asked, in order.
#[derive(Clone)]
struct Fake {
    answers: Arc<BTreeMap<&'static str, (u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
    address: SocketAddr,
}

impl Fake {
    fn start<const N: usize>(answers: [(&'static str, u16, String); N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it is a socket");
        let fake = Self {
            address: listener.local_addr().expect("it is bound"),
            answers: Arc::new(
                answers
                    .into_iter()
                    .map(|(word, status, body)| (word, (status, body)))
                    .collect(),
            ),
            asked: Arc::default(),
        };
        let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.answer(stream).await });
            }
        });
        fake
    }

    async fn answer(self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        let mut length = 0;
        loop {
            let before = request.len();
            stream.read_line(&mut request).await?;
            let line = request[before..].trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        request.push_str(&String::from_utf8_lossy(&body));
        let answer = self
            .answers
            .iter()
            .find(|(word, _)| request.contains(**word));
        let answer = answer.map(|(_, answer)| answer.clone());
        self.asked.lock().expect("no panic").push(request);
        match answer {
            Some((0, _)) => std::future::pending().await,
            Some((status, body)) => {
                let head = format!("HTTP/1.1 {status} Canned\r\nContent-Length: {}", body.len());
                let reply = format!("{head}\r\n\r\n{body}");
                stream.write_all(reply.as_bytes()).await
            }
            None => {
                stream
                    .write_all(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n")
                    .await
            }
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn identity() -> (&'static str, u16, String) {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>{ARN}</Arn><UserId>X</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    ("Action=GetCallerIdentity", 200, body)
}

fn assumed() -> (&'static str, u16, String) {
    let body = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId>\
         <SecretAccessKey>web-secret</SecretAccessKey><SessionToken>web-session</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    ("Action=AssumeRoleWithWebIdentity", 200, body.to_owned())
}

fn refused(action: &'static str, code: &str, message: &str) -> (&'static str, u16, String) {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    (action, 400, body)
}

/// A token file that is gone with its test.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eksnet-sts-{test}-{}", std::process::id()));
        std::fs::write(&path, TOKEN).expect("a file");
        Self(path)
    }

    fn web_identity(&self) -> [(&str, &str); 2] {
        [
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web"),
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                self.0.to_str().expect("a path"),
            ),
        ]
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn ask(variables: &[(&str, &str)], endpoint: &str, timeout_ms: u64) -> StsOutcome {
    let mut surroundings = Surroundings::with_files("/nonexistent".into(), "/nonexistent".into());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    surroundings.environment = Environment::from_iter(variables.iter().map(owned));
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "sts".to_owned(),
        deadline_ms: 60_000,
        probes: vec![ProbeSpec {
            id: 1,
            kind: ProbeKind::Sts {
                region: "us-west-2".to_owned(),
                endpoint: Some(endpoint.to_owned()),
                timeout_ms,
            },
        }],
    };
    let mut log = Vec::new();
    let report = run(
        plan,
        Arc::new(surroundings),
        Instant::now(),
        &mut log,
        std::future::pending(),
    );
    let report = report.await.expect("the plan is sound");
    let log = String::from_utf8(log).expect("text");
    for secret in [TOKEN, "given-s", "web-s", "own-secret"] {
        assert!(!log.contains(secret), "{secret} left the pod: {log}");
    }
    match &report.results[0].outcome {
        Outcome::Sts(outcome) => outcome.clone(),
        other => panic!("{other:?}"),
    }
}

const OWN: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAOWN"),
    ("AWS_SECRET_ACCESS_KEY", "own-secret"),
];

fn gone() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

#[tokio::test]
async fn keys_in_variables_sign_the_request() {
    let fake = Fake::start([identity()]);
    let outcome = ask(&OWN, &fake.url(), 30_000).await;
    assert_eq!(outcome.arn.as_deref(), Some(ARN), "{outcome:?}");
    assert_eq!(outcome.provider.as_deref(), Some("environment"));
    assert_eq!((outcome.error, outcome.message), (None, None));
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("Credential=AKIAOWN/"), "{}", asked[0]);
    assert!(
        asked[0].contains("/us-west-2/sts/aws4_request"),
        "{}",
        asked[0]
    );
}

#[tokio::test]
async fn a_service_account_token_is_exchanged_unsigned_and_the_role_then_asks() {
    let file = TokenFile::new("exchange");
    let fake = Fake::start([identity(), assumed()]);
    let outcome = ask(&file.web_identity(), &fake.url(), 30_000).await;
    assert_eq!(outcome.arn.as_deref(), Some(ARN), "{outcome:?}");
    assert_eq!(outcome.provider.as_deref(), Some("web-identity"));
    let asked = fake.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains("Action=AssumeRoleWithWebIdentity"));
    assert!(
        !asked[0].to_lowercase().contains("authorization:"),
        "{}",
        asked[0]
    );
    assert!(asked[1].contains("Credential=ASIAWEB/"), "{}", asked[1]);
    assert!(asked[1].contains("web-session"), "{}", asked[1]);
}

#[tokio::test]
async fn keys_in_variables_go_before_web_identity() {
    let file = TokenFile::new("order");
    let fake = Fake::start([identity(), assumed()]);
    let variables = [&OWN[..], &file.web_identity()].concat();
    let outcome = ask(&variables, &fake.url(), 30_000).await;
    assert_eq!(outcome.provider.as_deref(), Some("environment"));
}

#[tokio::test]
async fn a_refusal_of_aws_keeps_its_code_and_loses_what_it_repeats_of_the_token() {
    let file = TokenFile::new("refusal");
    let message = format!("No OpenIDConnect provider found for {TOKEN}");
    let fake = Fake::start([refused(
        "Action=AssumeRoleWithWebIdentity",
        "InvalidIdentityToken",
        &message,
    )]);
    let outcome = ask(&file.web_identity(), &fake.url(), 30_000).await;
    assert_eq!(
        outcome.error.as_deref(),
        Some("InvalidIdentityToken"),
        "{outcome:?}"
    );
    assert_eq!(outcome.provider.as_deref(), Some("web-identity"));
    assert_eq!(
        outcome.message.as_deref(),
        Some("No OpenIDConnect provider found for [secret]")
    );
    assert_eq!(fake.asked().len(), 1, "a refusal was repeated");
}

#[tokio::test]
async fn a_token_that_is_not_there_is_unreadable() {
    let file = TokenFile::new("absent");
    std::fs::remove_file(&file.0).unwrap();
    let outcome = ask(&file.web_identity(), &gone(), 30_000).await;
    assert_eq!(
        outcome.error.as_deref(),
        Some("token-unreadable"),
        "{outcome:?}"
    );
    assert_eq!(outcome.provider.as_deref(), Some("web-identity"));
}

#[tokio::test]
async fn pod_identity_gives_credentials_for_the_token_in_its_file() {
    let file = TokenFile::new("pod-identity");
    let fake = Fake::start([identity(), ("/v1/credentials", 200, CREDENTIALS.to_owned())]);
    let uri = format!("{}/v1/credentials", fake.url());
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.0.to_str().unwrap(),
        ),
    ];
    let outcome = ask(&variables, &fake.url(), 30_000).await;
    assert_eq!(outcome.arn.as_deref(), Some(ARN), "{outcome:?}");
    assert_eq!(outcome.provider.as_deref(), Some("container"));
    let asked = fake.asked();
    assert!(
        asked[0].contains(&format!("authorization: {TOKEN}")),
        "{}",
        asked[0]
    );
    assert!(asked[1].contains("Credential=ASIAGIVEN/"));
}

#[tokio::test]
async fn a_refusal_of_the_pod_identity_agent_is_quoted() {
    let fake = Fake::start([(
        "/v1/credentials",
        400,
        "AccessDeniedException: no association\n".into(),
    )]);
    let uri = format!("{}/v1/credentials", fake.url());
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
    ];
    let outcome = ask(&variables, &fake.url(), 30_000).await;
    assert_eq!(outcome.error.as_deref(), Some("status-400"), "{outcome:?}");
    assert_eq!(
        outcome.message.as_deref(),
        Some("AccessDeniedException: no association")
    );
    assert_eq!(outcome.provider.as_deref(), Some("container"));
}

#[tokio::test]
async fn the_role_of_the_node_is_the_last_resort() {
    let fake = Fake::start([
        identity(),
        ("PUT /latest/api/token", 200, "imds-token".to_owned()),
        ("security-credentials/ HTTP", 200, "node-role".to_owned()),
        (
            "security-credentials/node-role HTTP",
            200,
            CREDENTIALS.to_owned(),
        ),
    ]);
    let url = fake.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let outcome = ask(&variables, &url, 30_000).await;
    assert_eq!(outcome.arn.as_deref(), Some(ARN), "{outcome:?}");
    assert_eq!(outcome.provider.as_deref(), Some("imds"));
}

#[tokio::test]
async fn without_any_source_there_are_no_credentials_and_the_message_says_why() {
    let url = gone();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let outcome = ask(&variables, &gone(), 30_000).await;
    assert_eq!(
        outcome.error.as_deref(),
        Some("no-credentials"),
        "{outcome:?}"
    );
    assert!(outcome.message.unwrap().ends_with("gives none: refused"));
    assert_eq!(outcome.provider, None);

    let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
    let outcome = ask(&disabled, &gone(), 30_000).await;
    assert_eq!(outcome.error.as_deref(), Some("no-credentials"));

    let no_role = Fake::start([("PUT /latest/api/token", 200, "imds-token".to_owned())]);
    let url = no_role.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let outcome = ask(&variables, &gone(), 30_000).await;
    assert!(outcome.message.unwrap().ends_with("status-404"));
}

#[tokio::test]
async fn an_sts_that_is_not_there_silent_or_strange_is_told_apart() {
    let outcome = ask(&OWN, &gone(), 30_000).await;
    assert_eq!(outcome.error.as_deref(), Some("connect"), "{outcome:?}");
    assert_eq!(outcome.message.as_deref(), Some("connect refused"));

    let silent = Fake::start([("Action", 0, String::new())]);
    let outcome = ask(&OWN, &silent.url(), 500).await;
    assert_eq!(outcome.error.as_deref(), Some("timeout"), "{outcome:?}");
    assert_eq!(outcome.provider.as_deref(), Some("environment"));

    let portal = Fake::start([("Action", 200, "<html>Please log in</html>".to_owned())]);
    let outcome = ask(&OWN, &portal.url(), 30_000).await;
    assert_eq!(outcome.error.as_deref(), Some("malformed"), "{outcome:?}");
    assert_eq!(outcome.arn, None);

    let failing = Fake::start([("Action", 503, String::new())]);
    let outcome = ask(&OWN, &failing.url(), 30_000).await;
    assert_eq!(outcome.error.as_deref(), Some("status-503"), "{outcome:?}");
    assert_eq!(failing.asked().len(), 1, "a failure was repeated");

    let expired = Fake::start([refused(
        "Action=GetCallerIdentity",
        "RequestExpired",
        "Request has expired.",
    )]);
    let outcome = ask(&OWN, &expired.url(), 30_000).await;
    assert_eq!(
        outcome.error.as_deref(),
        Some("RequestExpired"),
        "{outcome:?}"
    );
    assert_eq!(
        expired.asked().len(),
        1,
        "the clock was corrected and the request repeated"
    );
}
