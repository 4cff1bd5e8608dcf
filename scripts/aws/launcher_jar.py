"""Writes FOLDER/DynamoDBLocal.jar: a manifest that starts the server with every jar of FOLDER/DynamoDBLocal_lib.

The jar of Maven Central names, in its own manifest, files that only the zip of AWS has.
"""

import os
import sys
import zipfile

LINE_BYTES_MAX = 70  # of a manifest, without the line's end


def header(name, value):
    text = f"{name}: {value}"
    lines, text = [text[:LINE_BYTES_MAX]], text[LINE_BYTES_MAX:]
    while text:
        lines.append(" " + text[: LINE_BYTES_MAX - 1])
        text = text[LINE_BYTES_MAX - 1 :]
    return "\r\n".join(lines) + "\r\n"


folder = sys.argv[1]
library = "DynamoDBLocal_lib"
jars = sorted(name for name in os.listdir(os.path.join(folder, library)) if name.endswith(".jar"))
manifest = (
    header("Manifest-Version", "1.0")
    + header("Main-Class", "software.amazon.dynamodb.services.local.main.ServerRunner")
    + header("Class-Path", " ".join(f"{library}/{jar}" for jar in jars))
    + "\r\n"
)
with zipfile.ZipFile(os.path.join(folder, "DynamoDBLocal.jar"), "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", manifest)
