//! Files and logs of an alloc.

use crate::wire;

wire! {
    /// What is known of a file: its size in bytes, its mode as `-rw-r--r--`, its time as RFC 3339.
    FileInfo {
        name: String = "Name",
        is_dir: bool = "IsDir",
        size: u64 = "Size",
        file_mode: String = "FileMode",
        mod_time: String = "ModTime",
        #[serde(skip_serializing_if = "String::is_empty")]
        content_type: String = "ContentType",
    }
}

wire! {
    /// A piece of a file that is streamed, its bytes in base64.
    StreamFrame {
        data: String = "Data",
        file: String = "File",
        offset: u64 = "Offset",
    }
}
