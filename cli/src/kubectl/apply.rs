//! `apply -f` and `diff -f`: make the jobs be as the files say, or show what that would change.

use rove_jobspec::Parsed;

use super::documents;
use super::get::{client, server};
use crate::client::{ApiError, Client};
use crate::command::Context;
use crate::commands::job::plan::unsupported;
use crate::commands::job::source;
use crate::commands::lookup::segment;
use crate::commands::monitor;
use crate::failure::{Failure, Outcome};
use crate::render::diff;
use rove_model::diff::DiffType;
use rove_wire::{Plan, PlanRequest, RegisterRequest, Registered};

/// How often a job is looked at again after somebody else has changed it in between.
const ATTEMPTS: u32 = 5;
/// The exit code of `diff` when it failed; 1 means that something differs.
const DIFF_FAILED: u8 = 2;

/// What applying did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Created,
    Configured,
    Unchanged,
}

impl Change {
    fn of(plan: &Plan) -> Self {
        match plan.diff.as_ref().map(|d| d.kind) {
            Some(DiffType::Added) => Self::Created,
            Some(DiffType::None) => Self::Unchanged,
            Some(DiffType::Edited | DiffType::Deleted) | None => Self::Configured,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

fn files(cx: &Context) -> Result<Vec<String>, Failure> {
    let files = cx.args.all("filename").to_vec();
    if files.is_empty() {
        return Err(Failure::new("error: must specify -f"));
    }
    if !cx.args.positional.is_empty() {
        return Err(Failure::new(format!(
            "error: Unexpected args: [{}]",
            cx.args.positional.join(" ")
        )));
    }
    Ok(files)
}

/// Who looks at what would be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DryRun {
    Client,
    Server,
}

impl DryRun {
    /// As kubectl says it.
    fn word(self) -> &'static str {
        match self {
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// Applies every job of the files.
pub async fn apply(cx: &mut Context) -> Outcome {
    let dry = match cx.args.last("dry-run") {
        None | Some("none" | "false") => None,
        Some("client") => Some(DryRun::Client),
        Some("server" | "true" | "") => Some(DryRun::Server),
        Some(other) => {
            return Err(Failure::new(format!(
                "error: Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
            )));
        }
    };
    match cx.args.last("output") {
        None | Some("" | "name") => {}
        Some(other) => {
            return Err(Failure::new(format!(
                "error: unable to match a printer suitable for the output format {other:?}, allowed formats are: name"
            )));
        }
    }
    let files = files(cx)?;
    let client = client(cx)?;
    let mut code = 0;
    for document in documents::read(cx, &files)? {
        let client = client.in_namespace(&document.job.namespace);
        match one(cx, &client, &document, dry).await {
            Ok(result) => code = code.max(result),
            Err(failure) => {
                cx.ui.error(&failure.message);
                code = code.max(failure.code);
            }
        }
    }
    Ok(code)
}

async fn one(cx: &mut Context, client: &Client, document: &Parsed, dry: Option<DryRun>) -> Outcome {
    source::check(cx, document).await?;
    let name = format!("job/{}", document.job.id);
    let mut attempt = 0;
    let (change, answer) = loop {
        attempt += 1;
        let plan = plan(cx, client, document).await?;
        let change = Change::of(&plan);
        if let Some(dry) = dry {
            if dry == DryRun::Server && !plan.unsupported.is_empty() {
                let why = plan.unsupported.join("; ");
                let text = format!("Error from server: {name}: {why}");
                return Err(unsupported(cx, text, &plan, document));
            }
            cx.ui
                .line(format!("{name} {}{}", change.word(), dry.word()));
            return Ok(0);
        }
        if change == Change::Unchanged {
            break (change, Registered::default());
        }
        let body = RegisterRequest {
            job: Some(document.job.clone()),
            enforce_index: true,
            job_modify_index: plan.modify_index,
            ..RegisterRequest::default()
        };
        match client.put::<_, Registered>("/v1/jobs", &[], &body).await {
            Ok(answer) => break (change, answer),
            Err(error) if attempt < ATTEMPTS && changed_meanwhile(&error) => {}
            Err(error) => return Err(refused(cx, error, document)),
        }
    };
    if cx.args.last("output") == Some("name") {
        cx.ui.line(&name);
    } else {
        cx.ui.line(format!("{name} {}", change.word()));
    }
    if !answer.warnings.is_empty() {
        cx.ui.error(format!("Warning: {}", answer.warnings));
    }
    if cx.args.is("wait") && !answer.eval.is_empty() {
        return monitor::evaluation(cx, client, &answer.eval, false).await;
    }
    Ok(0)
}

/// Somebody else has registered the job in between.
fn changed_meanwhile(error: &ApiError) -> bool {
    error
        .body()
        .is_some_and(|body| body.contains("Enforcing job modify index"))
}

/// The agent's refusal of a job in kubectl's words, with the places in its file.
fn refused(cx: &Context, error: ApiError, document: &Parsed) -> Failure {
    match error.body() {
        Some(_) => source::refused(cx, "Error from server", &error, document),
        None => server(error),
    }
}

async fn plan(cx: &Context, client: &Client, document: &Parsed) -> Result<Plan, Failure> {
    let body = PlanRequest {
        job: Some(document.job.clone()),
        diff: true,
        ..PlanRequest::default()
    };
    let path = format!("/v1/job/{}/plan", segment(&document.job.id));
    let answer = client.put(&path, &[], &body).await;
    answer.map_err(|error| refused(cx, error, document))
}

/// Shows what applying would change; exits 1 if it would change anything.
pub async fn diff(cx: &mut Context) -> Outcome {
    differences(cx)
        .await
        .map_err(|failure| failure.with_code(DIFF_FAILED))
}

async fn differences(cx: &mut Context) -> Outcome {
    let files = files(cx)?;
    let client = client(cx)?;
    let mut code = 0;
    let mut shown = false;
    for document in documents::read(cx, &files)? {
        let client = client.in_namespace(&document.job.namespace);
        match difference(cx, &client, &document).await {
            Ok(None) => {}
            Ok(Some(text)) => {
                if std::mem::replace(&mut shown, true) {
                    cx.ui.line("");
                }
                cx.ui.line(text);
                code = code.max(1);
            }
            // The others are shown all the same.
            Err(failure) => {
                cx.ui.error(&failure.message);
                code = DIFF_FAILED;
            }
        }
    }
    Ok(code)
}

/// What applying one job would change, if anything.
async fn difference(
    cx: &mut Context,
    client: &Client,
    document: &Parsed,
) -> Result<Option<String>, Failure> {
    let plan = plan(cx, client, document).await?;
    for complaint in &plan.unsupported {
        let id = &document.job.id;
        cx.ui.error(format!("Warning: job/{id}: {complaint}"));
    }
    if Change::of(&plan) == Change::Unchanged {
        return Ok(None);
    }
    let found = plan.diff.as_ref().ok_or_else(|| {
        Failure::new("error: the agent's answer to the dry run holds no differences")
    })?;
    let text = diff::job(found, cx.args.is("verbose"), cx.ui.colour);
    Ok(Some(text))
}
