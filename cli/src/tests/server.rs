//! A small HTTP server in the test's process that gives answers which were put in before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub index: u64,
    pub body: Vec<u8>,
    pub kind: &'static str,
}

impl Answer {
    pub fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            index: 10,
            body: value.to_string().into_bytes(),
            kind: "application/json",
        }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            index: 0,
            body: body.as_bytes().to_vec(),
            kind: "text/plain",
        }
    }

    /// A refusal field by field.
    pub fn refusal(refusal: &rove_wire::Refusal) -> Self {
        Self {
            status: refusal.status,
            index: 0,
            body: serde_json::to_vec(refusal).unwrap(),
            kind: rove_wire::Refusal::CONTENT_TYPE,
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub body: String,
}

#[derive(Debug, Default)]
struct Inner {
    /// By "METHOD target"; several are given one after the other, the last one for ever.
    answers: HashMap<String, Vec<Answer>>,
    requests: Vec<Request>,
}

/// The server; it ends with the test.
pub struct Server {
    inner: Arc<Mutex<Inner>>,
    pub address: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner::default()));
        let shared = inner.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone()));
            }
        });
        Self {
            inner,
            address,
            task,
        }
    }

    /// Adds an answer for "GET /v1/…"; query parameters are sorted by name.
    pub fn on(&self, request: &str, answer: Answer) -> &Self {
        self.inner
            .lock()
            .unwrap()
            .answers
            .entry(request.to_owned())
            .or_default()
            .push(answer);
        self
    }

    pub fn get(&self, target: &str, value: serde_json::Value) -> &Self {
        self.on(&format!("GET {target}"), Answer::json(&value))
    }

    pub fn requests(&self) -> Vec<Request> {
        self.inner.lock().unwrap().requests.clone()
    }
}

async fn serve(mut stream: TcpStream, inner: Arc<Mutex<Inner>>) {
    let mut buffer = Vec::new();
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let length: usize = head
        .lines()
        .find_map(|l| {
            l.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0);
    while buffer.len() < head_end + length {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
        }
    }
    let mut first = head.lines().next().unwrap_or("").split(' ');
    let method = first.next().unwrap_or("").to_owned();
    let target = first.next().unwrap_or("").to_owned();
    let body = String::from_utf8_lossy(&buffer[head_end..head_end + length]).into_owned();
    let answer = {
        let mut inner = inner.lock().unwrap();
        inner.requests.push(Request {
            method: method.clone(),
            target: target.clone(),
            body,
        });
        let path = target.split('?').next().unwrap_or("").to_owned();
        let keys = [format!("{method} {target}"), format!("{method} {path}?*")];
        let key = keys
            .iter()
            .find(|k| inner.answers.contains_key(*k))
            .cloned();
        match key.and_then(|k| inner.answers.get_mut(&k)) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Answer::text(404, &format!("no answer for {method} {target}")),
        }
    };
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Nomad-Index: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.kind,
        answer.body.len(),
        answer.index
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&answer.body).await;
    let _ = stream.shutdown().await;
}
