//! Certificates for a test, made by `openssl`.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::command::{available, run};

/// An authority with a server's and a client's certificate, for 127.0.0.1.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them; `None` where `openssl` is missing.
    ///
    /// # Panics
    /// When they can't be made.
    #[must_use]
    pub fn make() -> Option<Self> {
        if !available("openssl", std::path::Path::new("/usr/bin/openssl").exists()) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(
            folder.path().join("ext"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n",
        )
        .expect("the certificates' folder can be written");
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let openssl = |args: &[&str]| {
            let _ = run(Command::new("openssl")
                .current_dir(folder.path())
                .args(args))
            .ok();
        };
        for authority in ["ca", "other-ca"] {
            let (key_file, file) = (format!("{authority}.key"), format!("{authority}.pem"));
            let subject = format!("/CN={authority}");
            openssl(
                &[
                    &["req", "-x509", "-days", "2", "-subj", &subject][..],
                    &key,
                    &["-keyout", &key_file, "-out", &file],
                ]
                .concat(),
            );
        }
        for name in ["server", "client"] {
            let (key_file, csr, pem) = (
                format!("{name}.key"),
                format!("{name}.csr"),
                format!("{name}.pem"),
            );
            // A name that is no user of etcd: the password decides who is who.
            let subject = format!("/O={name}");
            openssl(
                &[
                    &["req", "-new", "-subj", &subject][..],
                    &key,
                    &["-keyout", &key_file, "-out", &csr],
                ]
                .concat(),
            );
            openssl(&[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &csr,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                "ext",
                "-out",
                &pem,
            ]);
        }
        Some(Self { folder })
    }

    /// The path of `ca.pem`, `other-ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
