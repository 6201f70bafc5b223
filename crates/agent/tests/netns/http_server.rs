//! An HTTP server that gives canned answers, one per connection.

use std::sync::mpsc::Sender;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::case::HttpServer;

/// Serves until it is dropped.
pub(crate) async fn serve(server: HttpServer, listening: Sender<()>) {
    let listener = TcpListener::bind(("::", server.port))
        .await
        .expect("the port is free");
    let _ = listening.send(());
    let server = std::rc::Rc::new(server);
    LocalSet::new()
        .run_until(async {
            while let Ok((stream, _)) = listener.accept().await {
                let server = std::rc::Rc::clone(&server);
                tokio::task::spawn_local(async move { answer(&server, stream).await });
            }
        })
        .await;
}

async fn answer(server: &HttpServer, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<u64>().ok())?
    });
    let mut body = Vec::new();
    (&mut stream)
        .take(length.unwrap_or(0))
        .read_to_end(&mut body)
        .await?;
    let request = head.first().cloned().unwrap_or_default();
    let request = request.trim_end_matches(" HTTP/1.1");
    let lower: Vec<String> = head.iter().map(|line| line.to_lowercase()).collect();
    let mut text = match server.answers.get(request) {
        None => "HTTP/1.1 404 Not Found\r\n".to_owned(),
        Some(answer) if answer.silent => std::future::pending().await,
        Some(answer)
            if answer
                .wants
                .iter()
                .any(|line| !lower.contains(&line.to_lowercase())) =>
        {
            "HTTP/1.1 401 Unauthorized\r\n".to_owned()
        }
        Some(answer) => {
            let mut head = format!("HTTP/1.1 {} Canned\r\n", answer.status);
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let reply = format!(
                "{head}Content-Length: {}\r\n\r\n{}",
                answer.body.len(),
                answer.body
            );
            return stream.write_all(reply.as_bytes()).await;
        }
    };
    text.push_str("Content-Length: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).await
}
