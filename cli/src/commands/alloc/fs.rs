//! `alloc fs`.

use super::follow::Frames;
use super::logs::{named, reader_gone};
use super::{From, from, last_lines};
use crate::client::Client;
use crate::command::{Context, failed};
use crate::failure::{Failure, Outcome};
use crate::render::table::Table;
use crate::render::{size, time};
use rove_wire::FileInfo;

/// The most of a file that is read for its last lines.
const MOST: i64 = 64 << 20;

/// Lists a folder or prints a file.
pub async fn run(cx: &mut Context) -> Outcome {
    let (given, path) = match cx.args.positional.as_slice() {
        [] if cx.args.is("job") => return Err(Failure::usage("A job ID is required")),
        [] => return Err(Failure::usage("An allocation ID is required")),
        [one] => (one.clone(), "/".to_owned()),
        [one, path] => (one.clone(), path.clone()),
        _ => {
            return Err(Failure::usage(
                "This command takes one or two arguments: <allocation> [<path>]",
            ));
        }
    };
    let from = from(&cx.args)?;
    let client = cx.client()?;
    let stub = named(cx, &client, &given).await?;
    let client = client.in_namespace(&stub.namespace);
    let file: FileInfo = client
        .get(
            &format!("/v1/client/fs/stat/{}", stub.id),
            &[("path", &path)],
        )
        .await
        .map_err(|e| Failure::new(e.full()))?;
    let plain = cx.args.is("H");
    if cx.args.is("stat") {
        let mut table = Table::new(["Mode", "Size", "Modified Time", "Content Type", "Name"]);
        table.row([
            file.file_mode.clone(),
            amount(&file, plain),
            time::stamp_text(Some(&file.mod_time)),
            file.content_type.clone(),
            shown(&file),
        ]);
        cx.ui.line(table.render());
        return Ok(0);
    }
    if file.is_dir {
        let files: Vec<FileInfo> = client
            .get(&format!("/v1/client/fs/ls/{}", stub.id), &[("path", &path)])
            .await
            .map_err(failed("Error listing alloc dir"))?;
        let mut table = Table::new(["Mode", "Size", "Modified Time", "Name"]);
        for file in &files {
            table.row([
                file.file_mode.clone(),
                amount(file, plain),
                time::stamp_text(Some(&file.mod_time)),
                shown(file),
            ]);
        }
        cx.ui.line(table.render());
        return Ok(0);
    }
    if cx.args.is("f") {
        return follow(cx, &client, &stub.id, &path, &file, from).await;
    }
    let bytes = match from {
        From::Start => {
            let whole = format!("/v1/client/fs/cat/{}", stub.id);
            match client.stream(&whole, &[("path", &path)]).await {
                Ok(file) => file.print(&mut cx.ui).await.map(|()| Vec::new()),
                Err(error) => Err(error),
            }
        }
        From::Bytes(count) => tail(&client, &stub.id, &path, &file, count).await,
        From::Lines(count) => {
            let all = tail(
                &client,
                &stub.id,
                &path,
                &file,
                u64::try_from(MOST).unwrap_or(u64::MAX),
            )
            .await;
            all.map(|bytes| last_lines(&bytes, count).to_vec())
        }
    };
    let bytes = bytes.map_err(failed("Error reading file"))?;
    cx.ui.write(&bytes);
    Ok(0)
}

async fn tail(
    client: &Client,
    alloc: &str,
    path: &str,
    file: &FileInfo,
    count: u64,
) -> Result<Vec<u8>, crate::client::ApiError> {
    let size = file.size;
    let offset = size.saturating_sub(count).to_string();
    let limit = size.min(count).to_string();
    if limit == "0" {
        return Ok(Vec::new());
    }
    client
        .bytes(
            &format!("/v1/client/fs/readat/{alloc}"),
            &[("path", path), ("offset", &offset), ("limit", &limit)],
        )
        .await
}

async fn follow(
    cx: &mut Context,
    client: &Client,
    alloc: &str,
    path: &str,
    file: &FileInfo,
    from: From,
) -> Outcome {
    let back = match from {
        From::Start => None,
        From::Bytes(count) => Some(count),
        From::Lines(count) => {
            let bytes = tail(
                client,
                alloc,
                path,
                file,
                u64::try_from(MOST).unwrap_or(u64::MAX),
            )
            .await
            .map_err(failed("Error reading file"))?;
            Some(last_lines(&bytes, count).len() as u64)
        }
    };
    let offset = back.unwrap_or(0).to_string();
    let origin = if back.is_some() { "end" } else { "start" };
    let query = [
        ("path", path),
        ("origin", origin),
        ("offset", &offset),
        ("follow", "true"),
    ];
    let stream = client
        .stream(&format!("/v1/client/fs/stream/{alloc}"), &query)
        .await
        .map_err(failed("Error reading file"))?;
    let mut frames = Frames::new(stream);
    while let Some(bytes) = frames.next().await? {
        cx.ui.write(&bytes);
        cx.ui.flush();
        if cx.ui.closed() || (!cx.ui.live && reader_gone()) {
            break;
        }
    }
    Ok(0)
}

fn amount(file: &FileInfo, plain: bool) -> String {
    if plain {
        file.size.to_string()
    } else {
        size::bytes(file.size)
    }
}

fn shown(file: &FileInfo) -> String {
    if file.is_dir {
        format!("{}/", file.name)
    } else {
        file.name.clone()
    }
}
