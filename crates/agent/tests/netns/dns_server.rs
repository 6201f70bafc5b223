//! A DNS server that answers, fails or keeps silent as its case says.

use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::LocalSet;

use crate::case::{Answer, DnsServer, Quirk};

/// Largest answer over UDP to a query without EDNS, RFC 1035.
const LARGEST_DATAGRAM: usize = 512;

/// Serves UDP and TCP on port 53 of all addresses.
pub(crate) async fn serve(server: DnsServer, listening: Sender<()>) {
    let udp = UdpSocket::bind("[::]:53").await.expect("udp/53 is free");
    let tcp = TcpListener::bind("[::]:53").await.expect("tcp/53 is free");
    let _ = listening.send(());
    let server = Rc::new(server);
    LocalSet::new()
        .run_until(async {
            tokio::join!(
                serve_udp(Rc::clone(&server), Rc::new(udp)),
                serve_tcp(server, tcp)
            );
        })
        .await;
}

async fn serve_udp(server: Rc<DnsServer>, socket: Rc<UdpSocket>) {
    let mut datagram = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut datagram).await else {
            continue;
        };
        let query = datagram[..length].to_vec();
        let (server, socket) = (Rc::clone(&server), Rc::clone(&socket));
        tokio::task::spawn_local(async move {
            for answer in answers(&server, &query, true).await {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn serve_tcp(server: Rc<DnsServer>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::task::spawn_local(answer_stream(Rc::clone(&server), stream));
    }
}

async fn answer_stream(server: Rc<DnsServer>, mut stream: TcpStream) -> Option<()> {
    let length = stream.read_u16().await.ok()?;
    let mut query = vec![0; length.into()];
    stream.read_exact(&mut query).await.ok()?;
    for answer in answers(&server, &query, false).await {
        let length = u16::try_from(answer.len()).expect("answers of a case are short");
        stream.write_u16(length).await.ok()?;
        stream.write_all(&answer).await.ok()?;
    }
    if answer_for(&server, &query)?.1.quirk == Some(Quirk::Silent) {
        std::future::pending().await
    }
    Some(())
}

async fn answers(server: &DnsServer, query: &[u8], udp: bool) -> Vec<Vec<u8>> {
    let Some((message, answer)) = answer_for(server, query) else {
        return Vec::new();
    };
    tokio::time::sleep(Duration::from_millis(answer.delay_ms)).await;
    let right = encode(&message, &answer, udp);
    let wrong_id = || {
        let mut bytes = right.clone();
        bytes[0] ^= 0xff;
        bytes
    };
    match answer.quirk {
        None => vec![right],
        Some(Quirk::Silent | Quirk::Close) => Vec::new(),
        Some(Quirk::Garbage) => vec![b"<html>captive portal</html>".to_vec()],
        Some(Quirk::WrongId) => vec![wrong_id()],
        Some(Quirk::WrongIdThenRight) => vec![wrong_id(), right],
        Some(Quirk::OtherName) => {
            let mut other = message.clone();
            other.queries[0].name = Name::from_ascii("other.example.").expect("a name");
            vec![encode(&other, &answer, udp)]
        }
    }
}

fn answer_for(server: &DnsServer, query: &[u8]) -> Option<(Message, Answer)> {
    let message = Message::from_vec(query).ok()?;
    let name = message.queries.first()?.name.to_lowercase().to_ascii();
    let answer = server.names.get(name.trim_end_matches('.')).cloned();
    let nxdomain = Answer {
        code: 3,
        ..Answer::default()
    };
    Some((message, answer.unwrap_or(nxdomain)))
}

fn encode(query: &Message, answer: &Answer, udp: bool) -> Vec<u8> {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = ResponseCode::from(0, answer.code as u8);
    message.add_queries(query.queries.iter().cloned());
    let asked = &query.queries[0];
    if udp && answer.truncated {
        message.metadata.truncation = true;
    } else {
        let mut owner = asked.name.clone();
        if let Some(alias) = &answer.alias {
            let target = Name::from_ascii(alias).expect("a name");
            message.add_answer(Record::from_rdata(
                owner,
                30,
                RData::CNAME(CNAME(target.clone())),
            ));
            owner = target;
        }
        let data: Vec<RData> = match asked.query_type {
            RecordType::A => answer.a.iter().map(|four| RData::A(A(*four))).collect(),
            RecordType::AAAA => answer
                .aaaa
                .iter()
                .map(|six| RData::AAAA(AAAA(*six)))
                .collect(),
            RecordType::TXT => (0..answer.texts)
                .map(|number| RData::TXT(TXT::new(vec![format!("{number:060}")])))
                .collect(),
            _ => Vec::new(),
        };
        message.add_answers(
            data.into_iter()
                .map(|data| Record::from_rdata(owner.clone(), 30, data)),
        );
    }
    let bytes = message.to_vec().expect("an answer encodes");
    if udp && bytes.len() > LARGEST_DATAGRAM {
        message.answers.clear();
        message.metadata.truncation = true;
        return message.to_vec().expect("an answer encodes");
    }
    bytes
}
