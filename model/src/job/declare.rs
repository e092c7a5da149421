//! How a job's fields are declared: each once, by a row of [`spec!`].
//!
//! A row is a field's documentation, its type, the words that tell where and under which names it stands, the default
//! that a canonical job has, and what a change of it does to an alloc that runs. The structs and their JSON, the
//! defaults, the tables that job files are read, written and explained by, and the decision between an update in place
//! and a replacement are made from it.
//!
//! ```text
//! /// How much memory is reserved for the task.
//! memory_mb as "MemoryMB": Option<i64> [hcl = "memory", unit = "MiB"] = 300 => ReplaceValue,
//! ```
//!
//! - `as` names the field in JSON where that isn't its name in PascalCase.
//! - The words in brackets are methods of [`Field`].
//! - The default is filled in when a job is read, or `at Parsing` or `at Registration` ([`Stage`]). Text and duration
//!   are written as in a job file. A default that depends on something else is only told (`[default = "the group's"]`)
//!   and filled in by a rule in `canonicalize.rs`.
//! - After the arrow stands a [`Change`]; `by_hand` behind it keeps the defaults inside the block for a rule.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::duration::Nanos;

/// What a change of a field does to a running alloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alloc takes it over as it runs.
    InPlace,
    /// The alloc is replaced.
    Replace,
    /// As [`Change::Replace`], where what isn't said counts as zero.
    ReplaceValue,
    /// The fields inside decide.
    Within,
    /// It counts together with other fields, or with those of the same name around it: [`crate::replacement`] decides.
    Together,
}

/// When a default is filled in. What is filled in at one stage is there at the later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Already when the file is parsed.
    Parsing,
    /// When a job that was read becomes canonical.
    Reading,
    /// When the job is registered.
    Registration,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Bool,
    /// A duration.
    Duration,
    /// A list of texts.
    Texts,
    /// Texts by name.
    TextMap,
    /// Lists of texts by name.
    TextsMap,
    /// Anything by name: what a driver or an autoscaler understands.
    Free,
    /// One block.
    Block(&'static Block),
    /// Several blocks.
    Blocks(&'static Block),
    /// Several blocks by name: an object in JSON.
    NamedBlocks(&'static Block),
}

impl Kind {
    /// The block that it is or consists of.
    #[must_use]
    pub fn block(self) -> Option<&'static Block> {
        match self {
            Self::Block(block) | Self::Blocks(block) | Self::NamedBlocks(block) => Some(block),
            Self::Text
            | Self::Integer
            | Self::Bool
            | Self::Duration
            | Self::Texts
            | Self::TextMap
            | Self::TextsMap
            | Self::Free => None,
        }
    }
}

/// Where a field stands in a job file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the arguments and blocks of its block.
    Body,
    /// It is the label of its block.
    Label,
    /// It is the label of its block, and may be given as an argument besides.
    LabelAndArgument,
    /// It is the label of its block or an argument.
    LabelOrArgument,
    /// Nowhere: the API alone has it.
    Api,
}

/// One field of a block.
#[derive(Debug)]
pub struct Field {
    /// Its name in HCL.
    pub name: &'static str,
    /// Its name in YAML, where there are several of it; else empty.
    pub plural: &'static str,
    /// Its name in JSON.
    pub json: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is, in a sentence or two.
    pub doc: &'static str,
    /// What it is when it is left out; empty where that is nothing.
    pub default: &'static str,
    /// The unit of a number; empty where it has none or the value names it.
    pub unit: &'static str,
    /// The words it may be; empty where it may be anything.
    pub values: &'static [&'static str],
    /// Where it stands in a job file.
    pub place: Place,
    /// A job that was only parsed shows nothing where the file doesn't say it.
    pub null: bool,
    /// A zero in it says nothing: its default is that there is nothing, and isn't told.
    pub quiet: bool,
    /// What a change of it does to an alloc that runs.
    pub change: Change,
}

/// The words of a row.
impl Field {
    pub(super) const fn new(
        name: &'static str,
        json: &'static str,
        kind: Kind,
        doc: &'static str,
        change: Change,
    ) -> Self {
        Self {
            name,
            plural: "",
            json,
            kind,
            doc: doc.trim_ascii(),
            default: "",
            unit: "",
            values: &[],
            place: Place::Body,
            null: false,
            quiet: false,
            change,
        }
    }

    /// Its name in HCL, where that isn't its own.
    pub(super) const fn hcl(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Its name in YAML, where there are several of it.
    pub(super) const fn plural(self, plural: &'static str) -> Self {
        Self { plural, ..self }
    }

    /// The name of each of its blocks in HCL; all of them have the field's own name in YAML.
    pub(super) const fn each(self, name: &'static str) -> Self {
        Self {
            plural: self.name,
            name,
            ..self
        }
    }

    /// What it is when it is left out.
    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// See [`Field::quiet`].
    pub(super) const fn quiet(self) -> Self {
        Self {
            default: "",
            quiet: true,
            ..self
        }
    }

    /// The unit of its number.
    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// The words it may be.
    pub(super) const fn values(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// It is the label of its block.
    pub(super) const fn label(self) -> Self {
        self.at(Place::Label)
    }

    /// See [`Place::LabelAndArgument`].
    pub(super) const fn label_and_argument(self) -> Self {
        self.at(Place::LabelAndArgument)
    }

    /// See [`Place::LabelOrArgument`].
    pub(super) const fn label_or_argument(self) -> Self {
        self.at(Place::LabelOrArgument)
    }

    /// No job file has it.
    pub(super) const fn api(self) -> Self {
        self.at(Place::Api)
    }

    /// See [`Field::null`].
    pub(super) const fn null(self) -> Self {
        Self { null: true, ..self }
    }
}

/// One kind of block.
#[derive(Debug)]
pub struct Block {
    /// The name of its struct, which no other block has.
    pub of: &'static str,
    /// Its name in job files.
    pub name: &'static str,
    /// Its fields, in the order that JSON has them in.
    pub fields: &'static [Field],
    /// Its JSON when nothing is said in it.
    pub unsaid: fn() -> Json,
}

impl Block {
    /// The default of a whole number, for constants: a name or a default that isn't there ends the build.
    pub(crate) const fn integer(&self, json: &str) -> i64 {
        let bytes = self.default_of(json).as_bytes();
        let mut number = 0;
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at].is_ascii_digit(), "the default is no whole number");
            number = number * 10 + (bytes[at] - b'0') as i64;
            at += 1;
        }
        number
    }

    /// As [`Block::integer`], of a duration in whole seconds.
    pub(crate) const fn seconds(&self, json: &str) -> Nanos {
        let text = self.default_of(json);
        let (number, unit) = text.as_bytes().split_at(text.len() - 1);
        assert!(matches!(unit, b"s"), "the default is not in seconds");
        let mut seconds = 0;
        let mut at = 0;
        while at < number.len() {
            assert!(number[at].is_ascii_digit(), "the default is no duration");
            seconds = seconds * 10 + (number[at] - b'0') as i64;
            at += 1;
        }
        Nanos::secs(seconds)
    }

    const fn default_of(&self, json: &str) -> &'static str {
        let mut at = 0;
        while at < self.fields.len() {
            if is_same(self.fields[at].json, json) {
                assert!(!self.fields[at].default.is_empty(), "it has no default");
                return self.fields[at].default;
            }
            at += 1;
        }
        panic!("no such field");
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// A block of the specification.
pub trait Declared: Default + Serialize {
    /// Its declaration.
    const BLOCK: &'static Block;

    /// Whether a field that doesn't count together with others replaces an alloc that runs `self` if it is to run `new`.
    fn is_replaced_by(&self, new: &Self) -> bool;

    /// Fills in the declared defaults of a stage and of those before it where nothing is said, also in the blocks
    /// inside.
    fn fill_defaults(&mut self, stage: Stage);

    /// Fills in zero or an empty text wherever a single value isn't said.
    fn fill_zeros(&mut self);

    /// Takes over what `other` says, for blocks that are inherited: its words count, and where it says nothing, those
    /// that are here.
    fn take_said(&mut self, other: &Self);
}

/// What a field may be.
pub(crate) trait Holds {
    const KIND: Kind;

    fn fill_inside(&mut self, _stage: Stage) {}

    fn fill_zero(&mut self) {}
}

macro_rules! holds {
    ($( $type:ty: $kind:ident, )*) => {
        $( impl Holds for $type { const KIND: Kind = Kind::$kind; } )*
    };
}

macro_rules! may_hold {
    ($( $type:ty: $kind:ident, )*) => {
        $(
            impl Holds for Option<$type> {
                const KIND: Kind = Kind::$kind;

                fn fill_zero(&mut self) {
                    self.get_or_insert_default();
                }
            }
        )*
    };
}

may_hold! {
    String: Text,
    i64: Integer,
    bool: Bool,
    Nanos: Duration,
}

holds! {
    String: Text,
    i64: Integer,
    u64: Integer,
    bool: Bool,
    Nanos: Duration,
    Vec<String>: Texts,
    BTreeMap<String, String>: TextMap,
    BTreeMap<String, Vec<String>>: TextsMap,
    Map<String, Json>: Free,
}

impl<T: Declared> Holds for Option<T> {
    const KIND: Kind = Kind::Block(T::BLOCK);

    fn fill_inside(&mut self, stage: Stage) {
        self.iter_mut().for_each(|block| block.fill_defaults(stage));
    }
}

impl<T: Declared> Holds for Vec<T> {
    const KIND: Kind = Kind::Blocks(T::BLOCK);

    fn fill_inside(&mut self, stage: Stage) {
        self.iter_mut().for_each(|block| block.fill_defaults(stage));
    }
}

impl<T: Declared> Holds for BTreeMap<String, T> {
    const KIND: Kind = Kind::NamedBlocks(T::BLOCK);

    fn fill_inside(&mut self, stage: Stage) {
        self.values_mut()
            .for_each(|block| block.fill_defaults(stage));
    }
}

/// What takes a default, as it is written in a row.
pub(crate) trait Fill<L> {
    fn fill(&mut self, default: L);
}

impl Fill<bool> for Option<bool> {
    fn fill(&mut self, default: bool) {
        self.get_or_insert(default);
    }
}

impl Fill<bool> for bool {
    fn fill(&mut self, default: bool) {
        *self |= default;
    }
}

impl Fill<i64> for Option<i64> {
    fn fill(&mut self, default: i64) {
        self.get_or_insert(default);
    }
}

impl Fill<i64> for i64 {
    fn fill(&mut self, default: i64) {
        if *self == 0 {
            *self = default;
        }
    }
}

impl Fill<&str> for Option<String> {
    fn fill(&mut self, default: &str) {
        self.get_or_insert_with(|| default.to_owned());
    }
}

impl Fill<&str> for String {
    fn fill(&mut self, default: &str) {
        if self.is_empty() {
            default.clone_into(self);
        }
    }
}

impl Fill<&str> for Option<Nanos> {
    fn fill(&mut self, default: &str) {
        // A test reads them all.
        self.get_or_insert_with(|| default.parse().unwrap_or_default());
    }
}

impl Fill<&str> for Nanos {
    fn fill(&mut self, default: &str) {
        if *self == Self::ZERO {
            *self = default.parse().unwrap_or_default();
        }
    }
}

/// Whether an optional block or a list of blocks replaces.
pub(crate) trait DecidesWithin {
    fn replaces(&self, new: &Self) -> bool;
}

impl<T: Declared> DecidesWithin for Option<T> {
    fn replaces(&self, new: &Self) -> bool {
        let unsaid = T::default();
        let (old, new) = (self.as_ref(), new.as_ref());
        old.unwrap_or(&unsaid)
            .is_replaced_by(new.unwrap_or(&unsaid))
    }
}

/// What an optional value counts as.
pub(crate) fn value_or_zero<T: Clone + Default>(value: &Option<T>) -> T {
    value.clone().unwrap_or_default()
}

/// The JSON of a block in which nothing is said.
pub(crate) fn unsaid<T: Declared>() -> Json {
    serde_json::to_value(T::default()).unwrap_or_default()
}

/// The length of a name in PascalCase.
pub(super) const fn pascal_length(name: &str) -> usize {
    let bytes = name.as_bytes();
    let (mut at, mut length) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'_' {
            length += 1;
        }
        at += 1;
    }
    length
}

/// A name in PascalCase, as serde has it.
pub(super) const fn pascal<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let bytes = name.as_bytes();
    let mut out = [0; LENGTH];
    let (mut at, mut to) = (0, 0);
    let mut begins = true;
    while at < bytes.len() {
        if bytes[at] == b'_' {
            begins = true;
        } else {
            out[to] = if begins {
                bytes[at].to_ascii_uppercase()
            } else {
                bytes[at]
            };
            begins = false;
            to += 1;
        }
        at += 1;
    }
    out
}

/// The decision of one field.
macro_rules! decide {
    (InPlace, $old:expr, $new:expr) => {
        false
    };
    (Together, $old:expr, $new:expr) => {
        false
    };
    (Replace, $old:expr, $new:expr) => {
        $old != $new
    };
    (ReplaceValue, $old:expr, $new:expr) => {
        crate::job::declare::value_or_zero(&$old) != crate::job::declare::value_or_zero(&$new)
    };
    (Within, $old:expr, $new:expr) => {
        crate::job::declare::DecidesWithin::replaces(&$old, &$new)
    };
}
pub(crate) use decide;

/// The stage that a default is filled in at.
macro_rules! stage {
    () => {
        crate::job::declare::Stage::Reading
    };
    ($stage:ident) => {
        crate::job::declare::Stage::$stage
    };
}
pub(crate) use stage;

/// The name of a field in JSON.
macro_rules! json_name {
    ($field:ident) => {{
        const NAME: &str = stringify!($field);
        const LENGTH: usize = crate::job::declare::pascal_length(NAME);
        const BYTES: &[u8] = &crate::job::declare::pascal::<LENGTH>(NAME);
        match str::from_utf8(BYTES) {
            Ok(name) => name,
            Err(_) => NAME,
        }
    }};
    ($field:ident $json:literal) => {
        $json
    };
}
pub(crate) use json_name;

/// The defaults inside of a field's blocks.
macro_rules! fill_inside {
    ($field:expr, $stage:ident) => {
        crate::job::declare::Holds::fill_inside(&mut $field, $stage)
    };
    ($field:expr, $stage:ident, by_hand) => {};
}
pub(crate) use fill_inside;

/// A block of the specification: see [`crate::job::declare`]. In its JSON anything may be absent or `null`.
macro_rules! spec {
    (
        $(#[$meta:meta])*
        $name:ident $title:literal {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($serde:tt)*)])*
                $field:ident $(as $json:literal)?: $type:ty
                    $([ $( $word:ident $(= $value:expr)? ),* ])?
                    $(= $default:literal $(at $stage:ident)?)?
                    => $change:ident $($by_hand:ident)?,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                $(#[serde(rename = $json)])?
                $(#[serde($($serde)*)])*
                #[serde(deserialize_with = "crate::job::null_as_default")]
                pub $field: $type,
            )*
        }

        impl crate::job::declare::Declared for $name {
            const BLOCK: &'static crate::job::declare::Block = {
                static BLOCK: crate::job::declare::Block = crate::job::declare::Block {
                    of: stringify!($name),
                    name: $title,
                    fields: &[$(
                        crate::job::declare::Field::new(
                            stringify!($field),
                            crate::job::declare::json_name!($field $($json)?),
                            <$type as crate::job::declare::Holds>::KIND,
                            concat!($($doc),*),
                            crate::job::declare::Change::$change,
                        )
                        $(.default(concat!($default)))?
                        $($(.$word($($value)?))*)?
                    ),*],
                    unsaid: crate::job::declare::unsaid::<$name>,
                };
                &BLOCK
            };

            #[allow(unused_variables, reason = "a block may hold nothing that replaces")]
            fn is_replaced_by(&self, new: &Self) -> bool {
                false $( || crate::job::declare::decide!($change, self.$field, new.$field) )*
            }

            #[allow(unused_variables, reason = "a block may have no fields")]
            fn fill_defaults(&mut self, stage: crate::job::declare::Stage) {
                $(
                    $(
                        if crate::job::declare::stage!($($stage)?) <= stage {
                            crate::job::declare::Fill::fill(&mut self.$field, $default);
                        }
                    )?
                    crate::job::declare::fill_inside!(self.$field, stage $(, $by_hand)?);
                )*
            }

            fn fill_zeros(&mut self) {
                $( crate::job::declare::Holds::fill_zero(&mut self.$field); )*
            }

            #[allow(unused_variables, reason = "a block may have no fields")]
            fn take_said(&mut self, other: &Self) {
                $(
                    if other.$field != <$type>::default() {
                        self.$field.clone_from(&other.$field);
                    }
                )*
            }
        }
    };
}
pub(crate) use spec;
