//! Exec, attach, terminals, ports.

use std::time::Duration;

use runtime::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::fixture::Node;

const SOON: Duration = Duration::from_secs(10);

async fn sleeper(node: &Node, name: &str) -> ContainerId {
    let sandbox = node.sandbox(name).await;
    let env = vec![("FROM".to_owned(), "container".to_owned())];
    node.start(
        &sandbox,
        ContainerConfig {
            env,
            working_dir: "/tmp".into(),
            ..node.container("while true; do sleep 0.05; done")
        },
    )
    .await
}

pub async fn exec_gives_output_and_exit_code(node: Node) {
    let id = sleeper(&node, "exec").await;
    let output = node.sh(&id, "echo out $FROM $(pwd); echo err >&2; exit 5").await;
    assert_eq!(
        output,
        ExecOutput { stdout: b"out container /tmp\n".to_vec(), stderr: b"err\n".to_vec(), exit_code: 5 }
    );
    assert_eq!(node.sh(&id, "kill -9 $$").await.exit_code, 137);
    let missing = node.runtime.exec_sync(&id, &["nothing".into()], SOON).await.unwrap_err();
    assert!(
        missing.to_string().contains(r#"exec: "nothing": executable file not found in $PATH"#),
        "{missing}"
    );
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(node.sh(&id, "true").await.exit_code, 0);
    }
    println!("    exec takes {:?}", started.elapsed() / 20);
    // What a command leaves running must not hold the caller for ever.
    assert_eq!(node.sh(&id, "sleep 30 & echo left").await.stdout, b"left\n");
    let big = node.sh(&id, "dd if=/dev/zero bs=1M count=3 2>/dev/null").await;
    assert_eq!(big.stdout.len(), 3 << 20);
}

pub async fn exec_times_out_and_is_killed(node: Node) {
    let id = sleeper(&node, "timeout").await;
    let command = ["/bin/sh".to_owned(), "-c".to_owned(), "exec sleep 77".to_owned()];
    let error = node.runtime.exec_sync(&id, &command, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    for _ in 0..100 {
        if !String::from_utf8_lossy(&node.sh(&id, "ps").await.stdout).contains("sleep 77") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the command still runs");
}

pub async fn exec_takes_stdin_to_its_end(node: Node) {
    let id = sleeper(&node, "stdin").await;
    let options = ExecOptions {
        command: vec!["wc".into(), "-c".into()],
        stdin: true,
        stdout: true,
        ..Default::default()
    };
    let mut streams = node.runtime.exec(&id, options).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(&vec![b'x'; 300_000]).await.unwrap();
    stdin.shutdown().await.unwrap();
    let mut text = String::new();
    timeout(SOON, streams.stdout.take().unwrap().read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(text.trim(), "300000");
    assert_eq!(timeout(SOON, streams.exit).await.unwrap().unwrap(), 0);
    assert!(streams.stderr.is_none());
}

pub async fn exec_has_a_terminal_with_a_size(node: Node) {
    let id = sleeper(&node, "tty").await;
    let options = ExecOptions {
        command: vec!["/bin/sh".into()],
        tty: true,
        stdin: true,
        stdout: true,
        ..Default::default()
    };
    let mut streams = node.runtime.exec(&id, options).await.unwrap();
    streams.resize.send(WindowSize { columns: 93, rows: 41 }).await.unwrap();
    let (mut stdin, mut stdout) = (streams.stdin.take().unwrap(), streams.stdout.take().unwrap());
    stdin.write_all(b"stty size; tty; echo $TERM; exit 4\n").await.unwrap();
    let mut text = Vec::new();
    timeout(SOON, stdout.read_to_end(&mut text)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("41 93") && text.contains("/dev/pts/") && text.contains("xterm"), "{text}");
    assert_eq!(timeout(SOON, streams.exit).await.unwrap().unwrap(), 4);
}

pub async fn attach_sees_output_and_gives_input(node: Node) {
    let sandbox = node.sandbox("attach").await;
    let config = ContainerConfig {
        stdin: true,
        stdin_once: true,
        ..node.container("while read line; do echo got $line; done; echo end; exit 6")
    };
    let id = node.start(&sandbox, config).await;
    let options = AttachOptions { stdin: true, stdout: true, stderr: true };
    let mut streams = node.runtime.attach(&id, options).await.unwrap();
    let (mut stdin, mut stdout) = (streams.stdin.take().unwrap(), streams.stdout.take().unwrap());
    stdin.write_all(b"one\ntwo\n").await.unwrap();
    let mut bytes = [0; 16];
    timeout(SOON, stdout.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"got one\ngot two\n");
    drop(stdin);
    let mut rest = String::new();
    timeout(SOON, stdout.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "end\n");
    assert_eq!(timeout(SOON, streams.exit).await.unwrap().unwrap(), 6);
    let status = node.exited(&id).await;
    assert_eq!(node.log_text(&status), "got one\ngot two\nend\n", "the log has it too");
    assert!(node.runtime.attach(&id, options).await.is_err(), "it has exited");
}

pub async fn a_containers_own_terminal(node: Node) {
    let sandbox = node.sandbox("console").await;
    let config = ContainerConfig {
        tty: true,
        stdin: true,
        ..node.container("read line; stty size; echo got $line; exit 2")
    };
    let id = node.start(&sandbox, config).await;
    let mut streams =
        node.runtime.attach(&id, AttachOptions { stdin: true, stdout: true, stderr: false }).await.unwrap();
    streams.resize.send(WindowSize { columns: 77, rows: 33 }).await.unwrap();
    // The size and the line are frames of one connection, in this order or not.
    tokio::time::sleep(Duration::from_millis(50)).await;
    streams.stdin.as_mut().unwrap().write_all(b"word\n").await.unwrap();
    let mut text = String::new();
    timeout(SOON, streams.stdout.take().unwrap().read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.contains("33 77") && text.contains("got word"), "{text}");
    let status = node.exited(&id).await;
    assert_eq!(status.exit_code, 2);
    assert!(node.log_text(&status).contains("got word"));
}

pub async fn ports_of_the_sandbox_can_be_reached(node: Node) {
    let sandbox = node.sandbox("ports").await;
    let id = node.start(&sandbox, node.container("while true; do echo answer | nc -l -p 8080; done")).await;
    for _ in 0..100 {
        if let Ok(mut stream) = node.runtime.connect(&sandbox.id, 8080).await {
            let mut text = String::new();
            timeout(SOON, stream.read_to_string(&mut text)).await.unwrap().unwrap();
            assert_eq!(text, "answer\n");
            assert!(node.runtime.connect(&sandbox.id, 9).await.is_err());
            assert_eq!(node.runtime.status(&id).await.unwrap().state, ContainerState::Running);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the port was never reached");
}
