"""Opens the mails of the folder of the first argument as mail programs and openpyxl do; says what is in them as JSON."""

import email
import email.policy
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import openpyxl


def unlocked(archive):
    """The one file of an archive, as 7-Zip opens it by the password of the second argument, and by no other."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "archive.zip"
        path.write_bytes(archive)
        run = lambda word: subprocess.run(["7zz", "x", "-so", "-p" + word, path], capture_output=True)
        if run("another").returncode == 0:
            return None
        return run(sys.argv[2]).stdout


def opened(path):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    found = {
        "to": mail["To"],
        "subject": mail["Subject"],
        "text": mail.get_body(("plain",)).get_content(),
        "html": mail.get_body(("html",)).get_content(),
        "files": [],
    }
    for part in mail.iter_attachments():
        content = part.get_content()
        file = {"name": part.get_filename(), "type": part.get_content_type()}
        if file["name"].endswith(".zip"):
            content = unlocked(content)
            file["locked"] = content is not None
        if content and file["name"].removesuffix(".zip").endswith(".xlsx"):
            sheet = openpyxl.load_workbook(io.BytesIO(content)).active
            file["rows"] = [[str(cell.value) for cell in row] for row in sheet.iter_rows()]
            file["kinds"] = "".join(cell.data_type for cell in sheet[2])
        elif content:
            file["rows"] = content if isinstance(content, str) else content.decode()
        found["files"].append(file)
    return found


print(json.dumps([opened(path) for path in sorted(pathlib.Path(sys.argv[1]).iterdir())]))
