//! The last step into a container: finding the command and executing it, and
//! the words for it when that fails.
//!
//! Source of the texts: what runc reports, which people search for.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Executes `args` with `environment`; returns only when it cannot, with the
/// reason in runc's words. Must run inside the container.
pub(super) fn execute(args: &[String], environment: &[String], uid: u32) -> String {
    let Some(name) = args.first() else { return "args must not be empty".into() };
    let path = match find(name, search_path(environment)) {
        Ok(path) => path,
        Err(message) => return message,
    };
    let mut environment = environment.to_vec();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", home(uid)));
    }
    let strings =
        |list: &[String]| list.iter().map(|s| CString::new(s.as_bytes())).collect::<Result<Vec<_>, _>>();
    let (Ok(args), Ok(environment), Ok(program)) =
        (strings(args), strings(&environment), CString::new(path.as_os_str().as_bytes()))
    else {
        return format!("exec: {name:?}: an argument or variable holds a zero byte");
    };
    let pointers =
        |list: &[CString]| list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let (argv, envp) = (pointers(&args), pointers(&environment));
    // SAFETY: the lists end with null pointers and outlive the call; signal
    // dispositions are this process's own.
    unsafe {
        // Rust ignores SIGPIPE, which exec would hand on.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
    }
    format!("exec {}: {}", path.display(), word(&io::Error::last_os_error()))
}

/// The kernel's word for an error, without Rust's "(os error 2)".
pub(super) fn word(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn search_path(environment: &[String]) -> &str {
    environment
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

fn find(name: &str, path: &str) -> Result<PathBuf, String> {
    let runnable = |path: &Path| -> io::Result<()> {
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        if meta.permissions().mode() & 0o111 == 0 {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        Ok(())
    };
    if name.contains('/') {
        return match runnable(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                Err(format!("exec: {name:?}: permission denied"))
            }
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {
                Err(format!("exec: {name:?}: is a directory"))
            }
            Err(error) => Err(format!("exec: {name:?}: stat {name}: {}", word(&error))),
        };
    }
    let mut denied = false;
    for directory in path.split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) => denied |= error.raw_os_error() == Some(libc::EACCES),
        }
    }
    Err(if denied {
        format!("exec: {name:?}: permission denied")
    } else {
        format!("exec: {name:?}: executable file not found in $PATH")
    })
}

/// Home directory by the container's /etc/passwd; `/` when it has none.
fn home(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.len() >= 6 && fields[2].parse() == Ok(uid)).then(|| fields[5].to_owned())
        })
        .filter(|home| !home.is_empty())
        .unwrap_or_else(|| "/".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said_as_runc_does() {
        assert_eq!(
            find("no-such-thing", "/bin:/usr/bin").unwrap_err(),
            r#"exec: "no-such-thing": executable file not found in $PATH"#
        );
        assert_eq!(
            find("/no/such", "").unwrap_err(),
            r#"exec: "/no/such": stat /no/such: no such file or directory"#
        );
        assert_eq!(find("/etc", "").unwrap_err(), r#"exec: "/etc": is a directory"#);
        assert_eq!(find("/etc/passwd", "").unwrap_err(), r#"exec: "/etc/passwd": permission denied"#);
        assert!(find("sh", "/nowhere:/bin").unwrap().ends_with("bin/sh"));
    }

    #[test]
    fn the_last_path_counts() {
        assert_eq!(search_path(&["PATH=/a".into(), "X=1".into(), "PATH=/b".into()]), "/b");
    }
}
