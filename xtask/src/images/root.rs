//! One image's files: Debian's packages unpacked, programs built, and what the
//! row adds, put together in a directory.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::table::Row;
use crate::shell::{cache, command, run};

/// Fills the directory `root`, which does not exist yet.
pub fn fill(row: &Row, module: &Path, root: &Path) -> Result<()> {
    std::fs::create_dir(root)?;
    if !row.packages.is_empty() {
        packages(&row.packages, root)?;
    }
    if !row.applets.is_empty() {
        applets(root, &row.applets)?;
    }
    for (place, package) in &row.go {
        go(module, package, &at(root, place)?)?;
    }
    for (place, source) in &row.c {
        let place = at(root, place)?;
        let mut cc = command(&["cc", "-Os", "-Wall", "-static", "-s", "-o"]);
        cc.arg(&place).arg(of_module(module, source)?);
        run(cc)?;
    }
    for (place, source) in &row.copy {
        let place = at(root, place)?;
        let mut copy = command(&["cp", "-r", "--no-preserve=mode"]);
        copy.arg(of_module(module, source)?).arg(&place);
        run(copy)?;
    }
    for (place, text) in &row.write {
        let place = at(root, place)?;
        std::fs::write(&place, text.trim_start_matches('\n'))?;
    }
    for (place, target) in &row.links {
        let place = at(root, place)?;
        let _ = std::fs::remove_file(&place);
        symlink(target, &place).with_context(|| place.display().to_string())?;
    }
    for directory in &row.directories {
        std::fs::create_dir_all(root.join(directory.trim_start_matches('/')))?;
    }
    for (place, mode) in &row.modes {
        let mode = u32::from_str_radix(mode, 8).context("a mode is octal")?;
        std::fs::set_permissions(at(root, place)?, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A place of the image below `root`, with the directory that holds it.
fn at(root: &Path, place: &str) -> Result<PathBuf> {
    let path = root.join(place.trim_start_matches('/'));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    Ok(path)
}

/// Unpacks packages and all that they depend on, and does what matters of
/// their installation.
fn packages(names: &[String], root: &Path) -> Result<()> {
    let debs = cache().join("conformance/debs");
    std::fs::create_dir_all(&debs)?;
    // Fetched by apt's own user, which must be able to write there.
    std::fs::set_permissions(&debs, std::fs::Permissions::from_mode(0o777))?;
    // As if nothing were installed: apt names the whole closure.
    let mut list = command(&[
        "apt-get",
        "-o",
        "Dir::State::status=/dev/null",
        "--no-install-recommends",
        "--print-uris",
        "-qq",
        "install",
    ]);
    list.args(names);
    let files: Vec<(String, String)> = run(list)?
        .lines()
        .filter_map(|line| {
            let file = line.split(' ').nth(1)?;
            let mut parts = file.trim_end_matches(".deb").split('_');
            let (name, version) = (parts.next()?, parts.next()?);
            Some((file.to_owned(), format!("{name}={}", version.replace("%3a", ":"))))
        })
        .collect();
    let missing: Vec<&str> = files
        .iter()
        .filter(|(file, _)| !debs.join(file).exists())
        .map(|(_, package)| package.as_str())
        .collect();
    if !missing.is_empty() {
        let mut download = command(&["apt-get", "download", "-qq"]);
        download.args(missing).current_dir(&debs);
        run(download)?;
    }
    // Debian's merged /usr, before a package could make a directory of a link.
    for directory in ["bin", "sbin", "lib", "lib64"] {
        std::fs::create_dir_all(root.join("usr").join(directory))?;
        symlink(format!("usr/{directory}"), root.join(directory))?;
    }
    for (file, _) in &files {
        // dpkg-deb -x would replace the links by directories.
        let mut unpack = Command::new("sh");
        unpack
            .args([
                "-c",
                r#"dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory "$2""#,
                "sh",
            ])
            .arg(debs.join(file))
            .arg(root);
        run(unpack)?;
    }
    for directory in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp", "home"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    for directory in ["tmp", "var/tmp"] {
        std::fs::set_permissions(root.join(directory), std::fs::Permissions::from_mode(0o1777))?;
    }
    for superfluous in ["doc", "man", "locale", "lintian", "info", "bug"] {
        let _ = std::fs::remove_dir_all(root.join("usr/share").join(superfluous));
    }
    if !root.join("etc/passwd").exists() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        std::fs::write(root.join("etc/passwd"), passwd)?;
        std::fs::write(
            root.join("etc/group"),
            "root:x:0:\nbin:x:2:\nmail:x:8:\nwww-data:x:33:\nnogroup:x:65534:\n",
        )?;
    }
    if !root.join("etc/nsswitch.conf").exists() {
        std::fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    }
    if root.join("usr/sbin/ldconfig").exists() {
        let mut ldconfig = command(&["ldconfig", "-r"]);
        ldconfig.arg(root);
        run(ldconfig)?;
    }
    Ok(())
}

/// Links to busybox for each command that is not there: where it wants them,
/// or all in the folder that is asked for.
fn applets(root: &Path, folder: &str) -> Result<()> {
    let mut list = Command::new(root.join("usr/bin/busybox"));
    list.arg("--list-full");
    for applet in run(list)?.lines() {
        let place = root.join(applet);
        let Some(name) = place.file_name() else { bail!("busybox lists {applet:?}") };
        let there = |directory: &str| root.join("usr").join(directory).join(name).symlink_metadata().is_ok();
        if there("bin") || there("sbin") {
            continue;
        }
        let place = match folder {
            "/" => applet.to_owned(),
            folder => format!("{folder}/{}", name.to_string_lossy()),
        };
        symlink("/bin/busybox", at(root, &place)?)?;
    }
    Ok(())
}

/// Builds a Go program without C, as upstream does.
pub fn go(module: &Path, package: &str, place: &Path) -> Result<()> {
    let mut build = command(&["go", "build", "-ldflags", "-s -w", "-o"]);
    build.arg(place).arg(package).current_dir(module).env("CGO_ENABLED", "0");
    run(build).map(drop)
}

/// A file of a Go module: `k8s.io/kubernetes/build/pause/…`.
fn of_module(module: &Path, source: &str) -> Result<PathBuf> {
    let mut parts = source.splitn(3, '/');
    let (Some(host), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("{source} names no file of a Go module");
    };
    let mut list = command(&["go", "list", "-m", "-f", "{{.Dir}}"]);
    list.arg(format!("{host}/{name}")).current_dir(module);
    Ok(PathBuf::from(run(list)?.trim()).join(rest))
}
