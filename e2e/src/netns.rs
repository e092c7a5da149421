//! A host as a network namespace, whose cable can be pulled.

use std::{
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    command::{available, run},
    dev::Place,
};

/// A namespace with one interface towards this host; removed when dropped.
#[derive(Debug)]
pub struct Host {
    name: String,
    /// This host's address on the cable.
    pub outside: String,
    /// The namespace's address on it.
    pub inside: String,
}

impl Host {
    /// Makes one; `None` where this machine can't.
    ///
    /// # Panics
    /// When it can't be set up though namespaces can be made.
    #[must_use]
    pub fn up() -> Option<Self> {
        static HOSTS: AtomicU8 = AtomicU8::new(0);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let name = format!("rvh{pid}-{number}");
        let made = run(Command::new("ip").args(["netns", "add", &name]));
        if !available("a network namespace", made.code == 0) {
            return None;
        }
        // A net of four addresses of its own for each cable.
        let (net, last) = (pid % 200, 4 * u32::from(number));
        let host = Self {
            outside: format!("10.111.{net}.{}", last + 1),
            inside: format!("10.111.{net}.{}", last + 2),
            name,
        };
        let cable = format!("rv{pid}-{number}");
        let space = &*host.name;
        for args in [
            &[
                "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", space,
            ][..],
            &[
                "address",
                "add",
                &format!("{}/30", host.outside),
                "dev",
                &cable,
            ],
            &["link", "set", &cable, "up"],
            &[
                "-n",
                space,
                "address",
                "add",
                &format!("{}/30", host.inside),
                "dev",
                "eth0",
            ],
            &["-n", space, "link", "set", "eth0", "up"],
            &["-n", space, "link", "set", "lo", "up"],
        ] {
            let _ = run(Command::new("ip").args(args)).ok();
        }
        Some(host)
    }

    fn enter(&self) -> Vec<String> {
        // Not `ip netns exec`: it hides the control groups.
        ["nsenter", &format!("--net=/run/netns/{}", self.name), "--"]
            .map(str::to_owned)
            .to_vec()
    }

    /// For an agent in the namespace.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            address: self.inside.clone(),
            wrap: self.enter(),
        }
    }

    /// Cuts it off: what is sent either way is lost without a word.
    ///
    /// # Panics
    /// When it can't be done.
    pub fn cut(&self) {
        self.filter("-I");
    }

    /// Ends the cut.
    ///
    /// # Panics
    /// When it can't be done.
    pub fn mend(&self) {
        self.filter("-D");
    }

    fn filter(&self, change: &str) {
        for (chain, direction) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            let enter = self.enter();
            let _ = run(Command::new(&enter[0]).args(&enter[1..]).args([
                "iptables", "-w", change, chain, direction, "eth0", "-j", "DROP",
            ]))
            .ok();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}
