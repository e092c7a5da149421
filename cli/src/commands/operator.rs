//! Tools for those who run the cluster.

use std::error::Error;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use reqwest::Method;
use rove_store::embedded::tools;

use crate::args::{COMMON, many, switch, text};
use crate::client::ApiError;
use crate::command::{Command, Context};
use crate::failure::{Failure, Outcome};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
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
                    "Show only what the expression holds for.",
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
    },
    Command {
        name: "operator store check",
        usage: "operator store check <data_dir>",
        about: "Looks at all of an embedded store, and says what is in it or what is damaged. The server that uses it has to \
            be stopped. Exits with 0 if it is whole, with 1 if it is damaged or can't be read, with 2 on a wrong call.",
        flags: &[],
        verb: false,
        misuse: 2,
        run: |cx| Box::pin(async { check(cx) }),
    },
    Command {
        name: "operator store repair",
        usage: "operator store repair <data_dir>",
        about: "Keeps what can be read of a damaged embedded store. The damaged file is kept beside the new one.\n\n\
            What was lost is not known by name: a key whose newest value was lost has the one before, if that is still \
            there. A copy of the folder from before the damage is better, if there is one. One that is whole is left as \
            it is.",
        flags: &[],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(async { repair(cx) }),
    },
    Command {
        name: "operator store export",
        usage: "operator store export [options] <data_dir>",
        about: "Writes what is in an embedded store as lines of JSON: a key, the revision it was last written at, and its \
            value. Values that are no JSON are written in base64. The hashes of the nodes' secrets are among them.",
        flags: &[&[text(
            "out",
            "file",
            "Write to this file, readable by its owner alone, instead of to standard output.",
        )]],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(async { export(cx) }),
    },
];

fn store_folder(cx: &Context) -> Result<PathBuf, Failure> {
    let [path] = cx.arguments("The data_dir of the server is required")?;
    Ok(tools::folder(&cx.folder.join(Path::new(&path))))
}

fn chain(error: &dyn Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Failure::new(text)
}

fn check(cx: &mut Context) -> Outcome {
    let report = tools::check(&store_folder(cx)?).map_err(|error| chain(&error))?;
    cx.ui.line(format!(
        "{} is whole: {} keys at revision {}, {} bytes with their history",
        report.file.display(),
        report.keys,
        report.revision,
        report.bytes
    ));
    Ok(0)
}

fn repair(cx: &mut Context) -> Outcome {
    let repaired = tools::repair(&store_folder(cx)?).map_err(|error| chain(&error))?;
    let file = repaired.file.display();
    let Some(damaged) = repaired.damaged else {
        cx.ui.line(format!("{file} is whole, nothing was changed"));
        return Ok(0);
    };
    cx.ui.line(format!(
        "{file} was made anew at revision {}: {} writes were kept, {} were found damaged, and others may have been lost \
         with the pages they were on. The damaged file is {}.",
        repaired.revision,
        repaired.kept,
        repaired.lost,
        damaged.display()
    ));
    Ok(0)
}

fn export(cx: &mut Context) -> Outcome {
    let folder = store_folder(cx)?;
    let Some(out) = cx.args.last("out").map(|out| cx.folder.join(out)) else {
        let mut lines = Vec::new();
        tools::export(&folder, &mut lines).map_err(|error| chain(&error))?;
        cx.ui.write(&lines);
        cx.ui.flush();
        return Ok(0);
    };
    let failed =
        |error: std::io::Error| Failure::new(format!("can't write {}: {error}", out.display()));
    let file = {
        use std::os::unix::fs::OpenOptionsExt as _;
        std::fs::File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&out)
            .map_err(failed)?
    };
    let mut file = BufWriter::new(file);
    let count = tools::export(&folder, &mut file).map_err(|error| chain(&error))?;
    file.flush().map_err(failed)?;
    cx.ui
        .line(format!("{count} keys were written to {}", out.display()));
    Ok(0)
}

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
