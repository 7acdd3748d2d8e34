//! A real nginx, haproxy or Varnish: the shipped config (`examples/proxies/`) with what a test changes in it, a directory
//! of its own, and its end. Time is real here. The programs are named by the environment; without them a test fails.

#![allow(clippy::unwrap_used, reason = "it is for tests alone, where a panic is a failure")]
#![allow(clippy::print_stdout, reason = "what a proxy said is shown to whoever reads a run that failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::client::Target;
use crate::dial::Dialer;

/// Which proxy.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "their names say it")]
pub enum Kind {
    Nginx,
    Haproxy,
    Varnish,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Varnish];

    /// What users are given.
    pub fn shipped(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../examples/proxies/nginx.conf"),
            Self::Haproxy => include_str!("../../examples/proxies/haproxy.cfg"),
            Self::Varnish => include_str!("../../examples/proxies/varnish.vcl"),
        }
    }

    fn program(self) -> String {
        let name = match self {
            Self::Nginx => "REALTIME_NGINX",
            Self::Haproxy => "REALTIME_HAPROXY",
            Self::Varnish => "REALTIME_VARNISHD",
        };
        std::env::var(name).ok().filter(|file| !file.is_empty()).unwrap_or_else(|| {
            panic!(
                "{name} is not set: `cargo xtask test` finds or installs what this test needs, and sets it"
            )
        })
    }
}

/// A config in the making: the shipped one, and what a test puts in the place of some of it.
#[derive(Clone, Debug)]
pub struct Conf {
    kind: Kind,
    text: String,
    /// What Varnish has as a parameter.
    silence_s: u32,
}

impl Conf {
    /// What users are given, whole.
    pub fn shipped(kind: Kind) -> Self {
        Self { kind, text: kind.shipped().to_owned(), silence_s: 75 }
    }

    /// Puts `with` wherever `what` is.
    ///
    /// # Panics
    /// It is nowhere: the test would not test what it says.
    pub fn with(mut self, what: &str, with: &str) -> Self {
        assert!(self.text.contains(what), "{:?}: the shipped config has no {what:?}", self.kind);
        self.text = self.text.replace(what, with);
        self
    }

    /// A lower longest silence.
    pub fn silence(self, seconds: u32) -> Self {
        let silence_s = seconds;
        Self { silence_s, ..self.with("75s", &format!("{seconds}s")) }
    }

    /// How long an old process goes on after a reload. Varnish has none: what it was asked by the old config it answers by it.
    pub fn rest(self, seconds: u32) -> Self {
        let name = match self.kind {
            Kind::Nginx => "worker_shutdown_timeout",
            Kind::Haproxy => "hard-stop-after",
            Kind::Varnish => return self,
        };
        self.with(&format!("{name} 30s"), &format!("{name} {seconds}s"))
    }

    /// Another line among those about a request.
    pub fn and(self, nginx: &str, haproxy: &str, varnish: &str) -> Self {
        match self.kind {
            Kind::Nginx => self.with("proxy_pass http://app;", &format!("proxy_pass http://app;\n{nginx}")),
            Kind::Haproxy => self.with("default_backend app", &format!("{haproxy}\n    default_backend app")),
            Kind::Varnish => {
                let host = "set req.http.X-Forwarded-Host = req.http.Host;";
                self.with(host, &format!("{host}\n{varnish}"))
            }
        }
    }

    /// Runs it before an app; it listens when this returns.
    ///
    /// # Panics
    /// The environment does not name the program, or it does not start.
    pub fn start(self, app: SocketAddr) -> Proxy {
        Proxy::start(self, app)
    }
}

/// A running proxy. However the test ends, it and its workers end with it.
#[derive(Debug)]
pub struct Proxy {
    kind: Kind,
    addr: SocketAddr,
    dir: PathBuf,
    pid: u32,
    /// A shell that leads their process group and kills it at the end of its standard input, which comes too when this
    /// process is killed; or when the master is gone.
    warden: Child,
}

const WARDEN: &str = r#"log=$1; shift; exec 3<&0
"$@" >"$log" 2>&1 3<&- & echo $!
master=$!
{ read -r _ <&3; kill -9 0; } &
wait $master
kill -9 0"#;

/// Longer than any of it takes; reached only by a run that fails.
const START_WAIT: Duration = Duration::from_secs(20);

impl Proxy {
    fn start(conf: Conf, app: SocketAddr) -> Self {
        let (kind, program, addr) = (conf.kind, conf.kind.program(), free_addr());
        let dir = std::env::temp_dir().join(format!("realtime-proxy-{}-{}", std::process::id(), addr.port()));
        fs::create_dir_all(&dir).unwrap();
        let silence_s = conf.silence_s;
        let at = dir.display();
        let conf = match kind {
            // Its own directories are root's, and here it may run as anybody.
            Kind::Nginx => conf
                .with("127.0.0.1:3000", &app.to_string())
                .with("listen 8080;", &format!("listen {addr};\naccess_log off;"))
                .with(
                    "worker_processes auto;",
                    &format!("worker_processes 2; daemon off; pid {at}/pid; error_log stderr;"),
                )
                .with("worker_rlimit_nofile 32768;", "")
                .with("worker_connections 16384;", "worker_connections 200;")
                .with(
                    "http {",
                    &format!(
                        "http {{ client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; \
                         uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;"
                    ),
                ),
            Kind::Haproxy => conf
                .with("127.0.0.1:3000", &app.to_string())
                .with("bind :8080", &format!("bind {addr}"))
                .with("maxconn 8000", "maxconn 200"),
            Kind::Varnish => conf.with(r#""3000""#, &format!(r#""{}""#, app.port())),
        };
        let file = dir.join("conf");
        fs::write(&file, conf.text).unwrap();

        let mut command = Command::new("sh");
        command.args(["-c", WARDEN, "sh"]).arg(dir.join("log")).arg(program);
        match kind {
            Kind::Nginx => command.args(nginx_args(&dir)),
            Kind::Haproxy => command.arg("-W").arg("-f").arg(&file),
            // No jail: it may run as anybody. Little memory: it keeps nothing.
            Kind::Varnish => command
                .args(["-F", "-j", "none", "-s", "default,1m", "-p", "vsl_space=1M"])
                .args(["-p", &format!("pipe_timeout={silence_s}"), "-a", &addr.to_string()])
                // The longest answer, ten minutes by itself: the config is to do without it.
                .args(["-p", &format!("send_timeout={silence_s}")])
                .arg("-n")
                .arg(dir.join("n"))
                .arg("-f")
                .arg(&file),
        };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn();
        let mut warden = piped.unwrap();
        let pid = BufReader::new(warden.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let mut proxy = Self { kind, addr, dir, pid: pid.parse().unwrap(), warden };
        proxy.listens();
        proxy
    }

    fn listens(&mut self) {
        let begun = Instant::now();
        while let Err(error) = TcpStream::connect(self.addr) {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let lives = self.warden.try_wait().unwrap().is_none();
            assert!(lives && begun.elapsed() < START_WAIT, "{:?}: {error}\n{}", self.kind, log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Loads its config anew, the way its manual says.
    ///
    /// # Panics
    /// Nobody is there to be told.
    pub fn reload(&self) {
        let is_done = match self.kind {
            Kind::Nginx => {
                let mut command = Command::new(self.kind.program());
                command.args(nginx_args(&self.dir)).args(["-s", "reload"]).status().unwrap().success()
            }
            Kind::Haproxy => self.signal("USR2"),
            Kind::Varnish => {
                static LOADED: AtomicU16 = AtomicU16::new(0);
                let name = format!("again{}", LOADED.fetch_add(1, Ordering::Relaxed));
                let conf = self.dir.join("conf").display().to_string();
                self.admin(&["vcl.load", &name, &conf]) && self.admin(&["vcl.use", &name])
            }
        };
        assert!(is_done, "{:?} is told to load its config anew", self.kind);
    }

    /// Whether Varnish does as it is told by the program that comes with it.
    fn admin(&self, words: &[&str]) -> bool {
        let mut command = Command::new("varnishadm");
        command
            .arg("-n")
            .arg(self.dir.join("n"))
            .args(words)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Whether its master was there to be told.
    fn signal(&self, signal: &str) -> bool {
        let kill = format!("kill -{signal} {}", self.pid);
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it keeps what is its own, until its end.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process group of its warden, its master and its workers.
    pub fn group(&self) -> u32 {
        self.warden.id()
    }

    /// The way through it, for clients without much patience between two polls.
    pub fn target(&self) -> Target {
        let interval = Duration::from_millis(20);
        Target { interval, wait_s: 1, ..Target::new(Dialer::tcp(self.addr), "/events") }
    }
}

fn nginx_args(dir: &Path) -> [PathBuf; 6] {
    ["-p".into(), dir.into(), "-e".into(), "stderr".into(), "-c".into(), dir.join("conf")]
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "{:?} said:\n{}",
                self.kind,
                fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
        }
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// An address whose port nobody has: below those that the kernel gives to connections on their way out, so that it
/// stays free until it is taken.
pub fn free_addr() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}
