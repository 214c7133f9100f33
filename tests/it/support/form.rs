//! `multipart/form-data` as browsers send it (RFC 7578).

const BOUNDARY: &str = "----robotd-test-7d1f";

/// The media type of [`form`]'s body.
pub fn media() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A body of fields: each a name, a file's name or none, and its bytes.
pub fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in fields {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
