//! The chat page of the server's port, and how the server builds it.
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use client::{AppSync, Credentials};
use local::server::ServerOptions;
use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::sleep,
};

use crate::backend::{Backend, execute, options, with_timeout};

const NODE: &str = "echo v20.19.4";
const HTML: &str = "<!doctype html><title>Chat</title>";
/// Writes a page.
const NPM: &str = r#"
if [ "$1" = ci ]; then mkdir -p node_modules && echo {} > node_modules/.package-lock.json; exit; fi
mkdir -p "$PARLANCE_CHAT_DIST" && echo '<!doctype html><title>Chat</title>' > "$PARLANCE_CHAT_DIST/index.html"
"#;

/// A project with the repository's backend and another page, and programs in place of Node and npm.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new(programs: &[(&str, &str)]) -> Self {
        let project = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(project.root()).unwrap();
        for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            if name != "web" && name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                symlink(path, project.root().join(name)).unwrap();
            }
        }
        for path in ["package.json", "package-lock.json", "chat/src/index.ts"] {
            project.write(&format!("root/web/{path}"), "{}");
        }
        fs::create_dir(project.path("bin")).unwrap();
        project.with_programs(programs)
    }

    fn with_programs(self, programs: &[(&str, &str)]) -> Self {
        for (name, script) in programs {
            self.write(&format!("bin/{name}"), &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"));
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(self.path("bin").join(name), executable).unwrap();
        }
        self
    }

    /// A project whose page is built.
    fn built() -> Self {
        let project = Self::new(&[]);
        for (path, content) in
            [("assets/index-Bx1.js", "export {};"), ("assets/index-C2.css", "a {}"), ("icon.svg", "<svg/>")]
        {
            project.write(&format!("root/web/chat/dist/{path}"), content);
        }
        project.write("root/web/chat/dist/index.html", HTML);
        project
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// A server in this process. The page must be built.
    async fn serve(&self, change: impl FnOnce(ServerOptions) -> ServerOptions) -> Backend {
        let state = tempfile::tempdir().unwrap();
        let options = options(&state, [].into());
        Backend::start_with(change(ServerOptions { root: self.root(), chat_page: true, ..options }), state).await
    }

    /// The program, as a user starts it.
    async fn start(&self, arguments: &[&str]) -> Program {
        let state = self.path("state");
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
        command.args(["--ephemeral", "--port", "0", "--root"]).arg(self.root());
        command.arg("--state").arg(&state).args(arguments).env("PATH", self.path("bin"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut program = Program {
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            endpoint: Value::Null,
            printed: Vec::new(),
        };
        program.line_with("cargo run -- chat").await;
        program.endpoint = serde_json::from_slice(&fs::read(state.join("endpoint.json")).unwrap()).unwrap();
        program
    }
}

struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: Vec<String>,
    endpoint: Value,
}

impl Program {
    /// The next line that has this text.
    async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = with_timeout(self.lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("{text:?} is printed, not only {:?}", self.printed));
            self.printed.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A page of the server.
    async fn get(&self, path: &str) -> Response {
        let origin = self.endpoint["url"].as_str().unwrap().strip_suffix("/graphql").unwrap();
        Client::new().get(format!("{origin}{path}")).send().await.unwrap()
    }

    async fn assert_api_works(&self) {
        let key = self.endpoint["apiKey"].as_str().unwrap().to_owned();
        let api = AppSync::new(self.endpoint["url"].as_str().unwrap(), Credentials::ApiKey(key)).unwrap();
        let created = execute(&api, "mutation { createConversation { id } }", json!({})).await;
        assert!(created["data"]["createConversation"]["id"].is_string(), "{created}");
    }

    /// Stops the server as Ctrl-C does. Returns what it has printed since.
    async fn stop(mut self) -> String {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        let mut rest = String::new();
        with_timeout(self.lines.into_inner().read_to_string(&mut rest)).await.unwrap();
        assert!(with_timeout(self.process.wait()).await.unwrap().success());
        rest
    }
}

fn origin(backend: &Backend) -> &str {
    backend.server.endpoint.url.strip_suffix("/graphql").unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn page_and_its_files_are_served() {
    let project = Project::built();
    let backend = project.serve(|options| options).await;
    let origin = origin(&backend);
    assert_eq!(backend.server.endpoint.chat_page_url.as_deref(), Some(format!("{origin}/").as_str()));
    let immutable = "public, max-age=31536000, immutable";
    for (path, content_type, cache_control, content) in [
        ("/", "text/html; charset=utf-8", "no-cache", HTML),
        ("/index.html", "text/html; charset=utf-8", "no-cache", HTML),
        ("/assets/index-Bx1.js", "text/javascript; charset=utf-8", immutable, "export {};"),
        ("/assets/index-C2.css", "text/css; charset=utf-8", immutable, "a {}"),
        ("/icon.svg", "image/svg+xml", "no-cache", "<svg/>"),
    ] {
        let response = Client::new().get(format!("{origin}{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(
            (header(&response, "content-type"), header(&response, "cache-control")),
            (content_type, cache_control)
        );
        assert_secure(&response, origin);
        assert_eq!(response.text().await.unwrap(), content);
    }
    for path in ["/assets/missing.js", "/missing", "/favicon.ico"] {
        let response = Client::new().get(format!("{origin}{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(Client::new().post(format!("{origin}{path}")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
}

fn assert_secure(response: &Response, origin: &str) {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: https:; \
         connect-src 'self' {origin} {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        origin.replace("http:", "ws:")
    );
    for (name, value) in [
        ("content-security-policy", policy.as_str()),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("access-control-allow-origin", ""),
    ] {
        assert_eq!(header(response, name), value, "{name}");
    }
}

#[tokio::test]
async fn configuration_is_that_of_the_stack() {
    let project = Project::built();
    let users = vec!["ada".parse().unwrap()];
    let backend = project.serve(|options| ServerOptions { users, oidc: true, ..options }).await;
    let origin = origin(&backend);
    let response = Client::new().get(format!("{origin}/config.json")).send().await.unwrap();
    assert_eq!(
        (header(&response, "content-type"), header(&response, "cache-control")),
        ("application/json", "no-store")
    );
    assert_eq!(header(&response, "access-control-allow-origin"), "");
    let expected = json!({
        "graphqlUrl": format!("{origin}/graphql"),
        "realtimeUrl": format!("{}/graphql/realtime", origin.replace("http:", "ws:")),
        "region": "us-east-1",
        "signIn": [
            { "mode": "API_KEY", "apiKey": backend.server.endpoint.api_key },
            { "mode": "USER_POOL", "issuer": format!("{origin}/pool"), "clientId": "local" },
            { "mode": "OIDC", "issuer": format!("{origin}/oidc"), "clientId": "local", "scope": "openid" },
        ],
    });
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn no_path_leads_out_of_the_build() {
    let project = Project::built();
    project.write("root/web/chat/secret.txt", "secret");
    symlink(project.path("root/web/chat/secret.txt"), project.path("root/web/chat/dist/link.txt")).unwrap();
    symlink(project.path("root/web/chat"), project.path("root/web/chat/dist/assets/up")).unwrap();
    let backend = project.serve(|options| options).await;
    let port = origin(&backend).rsplit_once(':').unwrap().1.parse().unwrap();
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/%2fetc%2fpasswd",
        "/%2fetc%2fpasswd",
        "/..%5csecret.txt",
        "/link.txt",
        "/assets/up/secret.txt",
        "/assets/%00",
        "//etc/passwd",
    ] {
        let answer = raw_get(port, path).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "404" | "400"), "{path}: {answer}");
        assert!(!answer.contains("secret") && !answer.contains("root:"), "{path}: {answer}");
    }
}

/// The response to a path that clients would normalize.
async fn raw_get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    with_timeout(stream.read_to_end(&mut response)).await.unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn other_host_names_are_refused() {
    let project = Project::built();
    let backend = project.serve(|options| options).await;
    let (origin, http) = (origin(&backend), Client::new());
    let port = origin.rsplit_once(':').unwrap().1;
    for path in ["/", "/config.json", "/assets/index-Bx1.js", "/icon.svg"] {
        let get = |host: String| http.get(format!("{origin}{path}")).header("host", host).send();
        for host in [format!("evil.example:{port}"), "localhost:1".into(), "localhost".into()] {
            let response = get(host.clone()).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{host}{path}");
            let text = response.text().await.unwrap();
            assert_eq!(text, "The chat page is at localhost only.\n");
        }
        assert_eq!(get(format!("127.0.0.1:{port}")).await.unwrap().status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn browser_waits_for_the_page_that_is_being_built() {
    let project = Project::new(&[]);
    let go = project.path("go");
    let npm = format!("until [ -e '{}' ]; do sleep 0.01; done\n{NPM}", go.display());
    let project = project.with_programs(&[("node", NODE), ("npm", &npm)]);
    let mut program = project.start(&[]).await;
    assert!(program.printed.iter().any(|line| line.starts_with("  Chat page      http://localhost:")));
    assert_eq!(program.line_with("Chat page: ").await, "Chat page: installing its packages (npm ci)");
    let response = program.get("/").await;
    assert_eq!((response.status(), header(&response, "refresh")), (StatusCode::SERVICE_UNAVAILABLE, "2"));
    let policy = header(&response, "content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = response.text().await.unwrap();
    assert!(html.contains("Its packages are being installed.") && !html.contains("<script"), "{html}");
    assert!(program.get("/config.json").await.json::<Value>().await.unwrap()["signIn"].is_array());
    program.assert_api_works().await;

    fs::write(go, "").unwrap();
    assert_eq!(program.line_with("Chat page: ").await, "Chat page: building (npm run build)");
    let built = program.line_with("Chat page: ").await;
    assert!(built.starts_with("Chat page: built (") && built.ends_with(" s)"), "{built}");
    let response = program.get("/").await;
    assert_eq!((response.status(), header(&response, "cache-control")), (StatusCode::OK, "no-cache"));
    assert_eq!(response.text().await.unwrap().trim_end(), HTML);
    program.stop().await;

    let program = project.start(&[]).await;
    assert_eq!(program.get("/").await.status(), StatusCode::OK);
    assert_eq!(program.stop().await, "", "a current page is not built again");
}

#[tokio::test]
async fn failed_build_is_shown_and_the_api_works() {
    let project = Project::new(&[("node", NODE), ("npm", "echo 'npm error <code> E404' >&2; exit 1")]);
    let mut program = project.start(&[]).await;
    program.line_with("installing its packages").await;
    let failed = program.line_with("Chat page: ").await;
    assert_eq!(failed, "Chat page: not built: npm ci --omit=dev ended with the exit code 1");
    assert_eq!(program.line_with("npm error").await, "  npm error <code> E404");
    let response = program.get("/").await;
    assert_eq!((response.status(), header(&response, "refresh")), (StatusCode::SERVICE_UNAVAILABLE, ""));
    let html = response.text().await.unwrap();
    assert!(html.contains("It was not built: npm ci --omit=dev ended with the exit code 1."), "{html}");
    assert!(html.contains("<pre>npm error &lt;code&gt; E404</pre>"), "{html}");
    program.assert_api_works().await;
    program.stop().await;
}

#[tokio::test]
async fn without_node_everything_else_works() {
    let project = Project::new(&[]);
    let mut program = project.start(&["--user", "ada"]).await;
    let sentence = "there is no Node; install Node 20.19 or later and start the server again";
    assert_eq!(program.line_with("Chat page: ").await, format!("Chat page: not built: {sentence}"));
    let html = program.get("/").await.text().await.unwrap();
    assert!(html.contains(&format!("It was not built: {sentence}.")), "{html}");
    program.assert_api_works().await;
    let state = project.path("state");
    let mut chat = Command::new(env!("CARGO_BIN_EXE_parlance"));
    chat.args(["chat", "Hello!", "--state"]).arg(&state).env("PATH", project.path("bin")).stdin(Stdio::null());
    let answer = with_timeout(chat.output()).await.unwrap();
    assert!(answer.status.success() && !answer.stdout.is_empty(), "{answer:?}");
    program.stop().await;
}

#[tokio::test]
async fn build_ends_with_the_server() {
    let project = Project::new(&[]);
    let ids = project.path("ids");
    let npm = format!("sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", ids.display());
    let project = project.with_programs(&[("node", NODE), ("npm", &npm)]);
    let mut program = project.start(&[]).await;
    program.line_with("installing its packages").await;
    let process = process_id(&ids).await;
    assert!(test_kill_process(process).is_ok());
    program.stop().await;
    let ended = async {
        while test_kill_process(process).is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    with_timeout(ended).await;
    assert!(!project.path("root/web/chat/dist").exists());
}

/// The number of a process that is written to a file.
async fn process_id(path: &Path) -> Pid {
    let read = async {
        loop {
            match fs::read_to_string(path) {
                Ok(id) => return Pid::from_raw(id.trim().parse().unwrap()).unwrap(),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    with_timeout(read).await
}

#[tokio::test]
async fn page_can_be_left_out() {
    let project = Project::new(&[("node", NODE), ("npm", NPM)]);
    let program = project.start(&["--no-page"]).await;
    assert!(!program.printed.iter().any(|line| line.contains("Chat page")), "{:?}", program.printed);
    assert_eq!(program.endpoint.get("chatPageUrl"), None);
    for path in ["/", "/config.json"] {
        assert_eq!(program.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    program.assert_api_works().await;
    assert_eq!(program.stop().await, "");
    assert!(!project.path("root/web/chat/dist").exists() && !project.path("root/web/node_modules").exists());
}
