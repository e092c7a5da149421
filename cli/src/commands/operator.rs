//! Tools for those who run the cluster.

use reqwest::Method;

use crate::args::{COMMON, many, switch, text};
use crate::client::ApiError;
use crate::command::{Command, Context};
use crate::failure::{Failure, Outcome};

/// The commands.
pub const COMMANDS: &[Command] = &[Command {
    name: "operator api",
    usage: "operator api [options] <path>",
    about: "Sends a request to the HTTP API and prints the answer as it comes. With -X PUT, POST or DELETE the body is \
            read from standard input unless that is a terminal.",
    flags: &[
        &[
            text("X", "method", "The HTTP method; GET by default."),
            many("H", "name: value", "Send this header."),
            text(
                "filter",
                "expression",
                "Only what the expression holds for.",
            ),
            switch(
                "dryrun",
                "Print the request as a curl command, and do not send it.",
            ),
            switch("verbose", "Print the request on standard error.").also(&["v"]),
        ],
        COMMON,
    ],
    verb: false,
    misuse: 1,
    run: |cx| Box::pin(api(cx)),
}];

async fn api(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("A path or URL is required")?;
    let client = cx.client()?;
    let given = cx.args.last("X").unwrap_or("GET").to_uppercase();
    let method = Method::from_bytes(given.as_bytes())
        .map_err(|_| Failure::new(format!("invalid HTTP method {given:?}")))?;
    let mut headers = Vec::new();
    for header in cx.args.all("H") {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::new(format!("invalid header {header:?}: no colon")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    // "v1/jobs", "/v1/jobs" and "jobs" are the same.
    let path = match path.trim_start_matches('/') {
        rest if rest == "v1" || rest.starts_with("v1/") => format!("/{rest}"),
        rest => format!("/v1/{rest}"),
    };
    let filter = cx.args.last("filter").map(str::to_owned);
    let query: Vec<(&str, &str)> = filter.iter().map(|f| ("filter", f.as_str())).collect();
    let url = client.url(&path, &query);
    if cx.args.is("dryrun") {
        let mut line = format!("curl -X {method} ");
        for (name, value) in &headers {
            line.push_str(&format!("-H '{name}: {value}' "));
        }
        cx.ui.line(format!("{line}'{url}'"));
        return Ok(0);
    }
    if cx.args.is("verbose") {
        cx.ui.error(format!("> {method} {url}"));
    }
    let body = if method != Method::GET && !cx.ui.interactive {
        Some(
            cx.ui
                .read_input()
                .map_err(|e| Failure::new(format!("Error reading standard input: {e}")))?,
        )
    } else {
        None
    };
    let answer = client.raw(method, &path, &query, body, &headers).await;
    let failed = |e: ApiError| Failure::new(format!("Error querying {url}: {}", e.full()));
    answer
        .map_err(failed)?
        .print(&mut cx.ui)
        .await
        .map_err(failed)?;
    Ok(0)
}
