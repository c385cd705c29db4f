"""Writes the two documents of the corpus that are not text files. Needs Python 3 alone:

    python3 tests/knowledge/make_documents.py

The output is the same for every run, so that it changes only with this file.
"""

import pathlib
import zipfile
from xml.sax.saxutils import escape

CORPUS = pathlib.Path(__file__).parent / "corpus"

WARRANTY = [
    "Warranty terms for meters and gateways",
    "1. Scope. These terms apply to all goods that Ostra Metering has sold since 1 January 2022. They are given in"
    " addition to the rights that the law gives to the buyer.",
    "2. Periods. The warranty begins with the delivery. It lasts as long as the table says.",
    [
        ["Product", "Warranty in years", "Covered in the last two years"],
        ["W2 meter", "10", "half of the price"],
        ["W8 meter", "5", "half of the price"],
        ["Kestrel gateway", "3", "nothing"],
        ["Battery pack WB-36", "2", "nothing"],
        ["Antennas and cables", "1", "nothing"],
    ],
    "3. What is covered. Covered are faults of material and workmanship, a battery that is empty before its time, and"
    " an accuracy outside the limits of the law. Ostra repairs or replaces the product. The replacement may be a"
    " reconditioned one. The period does not begin again.",
    "4. What is not covered. Not covered is damage by frost, by lightning, by water that is more acidic than pH 6, by"
    " installation against the manual, or by opening of the housing. Costs of removing and installing a product are not"
    " covered, except when more than five percent of a delivery are faulty; then Ostra pays 25 euros for each meter.",
    "5. Claims. A claim is made in the portal with the serial number, the invoice and two photographs of the installed"
    " product. It is made within 60 days after the fault was noticed. Ostra may ask for the product to be sent in.",
    "6. Transfer. The warranty passes to a new owner of the building if the new owner registers in the portal within"
    " three months after the sale.",
    "7. Extension. For gateways the warranty can be extended to six years if the extension is bought within the first"
    " year. The extension costs 12 percent of the list price.",
    "8. Law. Dutch law applies. The court in Breda is responsible, unless the buyer is a consumer.",
]

KESTREL = [
    [
        "Kestrel gateway: installation guide",
        "The Kestrel gateway collects the readings of up to 800 meters and",
        "passes them to the Harbor portal over Ethernet or mobile radio.",
        "",
        "1. Choosing the place",
        "Mount the gateway as high as possible: under the roof, in a lift",
        "shaft or on a mast. Keep one metre away from metal plates and",
        "half a metre away from other antennas. A place in a basement",
        "reduces the range to a third. The gateway tolerates minus 25 to",
        "plus 55 degrees. The housing is splash-proof, not watertight.",
        "",
        "2. Mounting",
        "Screw the bracket to the wall with four screws. Hang the gateway",
        "in from above until it clicks. The cables leave at the bottom.",
        "On a mast use the two steel bands. Connect the earth screw with",
        "a wire of at least 6 square millimetres.",
    ],
    [
        "3. Power supply",
        "The gateway takes power over Ethernet, class 3, at most 9 watts.",
        "Where there is no Ethernet use the mains adapter KA-12. Never use",
        "both at the same time. After a power failure the gateway starts by",
        "itself within 90 seconds.",
        "",
        "4. Lights",
        "Green: everything works. Green blinking: an update is installed;",
        "do not disconnect the power. Yellow: no connection to the portal;",
        "readings are stored. Yellow blinking: the clock is not set. Red:",
        "hardware fault; send the gateway in. No light: no power.",
        "",
        "5. First start",
        "Scan the code on the housing with the Harbor app. Enter the name",
        "of the building. For mobile radio insert a micro SIM without PIN",
        "before the power is connected. The first connection takes up to",
        "ten minutes.",
    ],
    [
        "6. Network",
        "The gateway needs outgoing TCP connections to port 8883 and NTP",
        "to port 123. It opens no incoming ports. Addresses are obtained by",
        "DHCP; a fixed address can be set in the app while the phone is",
        "connected by Bluetooth. Proxies are not supported.",
        "",
        "7. Resetting",
        "Press the key on the side with a paper clip for 20 seconds until",
        "all lights go out. The gateway forgets its network settings and its",
        "list of meters. Readings that were not sent are lost.",
        "",
        "8. Storage of readings",
        "Without a connection the gateway stores two million readings, which",
        "is about three weeks for 800 meters. The oldest are overwritten.",
    ],
]


def write_file(archive, name, text):
    # A fixed time: the archive is the same for every run.
    archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)


def paragraph(text):
    return f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def table(rows):
    cell = "<w:tc>{}</w:tc>".format
    row = "<w:tr>{}</w:tr>".format
    return "<w:tbl>" + "".join(row("".join(cell(paragraph(text)) for text in cells)) for cells in rows) + "</w:tbl>"


def make_docx(path, blocks):
    body = "".join(paragraph(block) if isinstance(block, str) else table(block) for block in blocks)
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    content_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    header = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    with zipfile.ZipFile(path, "w") as archive:
        write_file(
            archive,
            "[Content_Types].xml",
            f'{header}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{content_type}"/></Types>',
        )
        write_file(
            archive,
            "_rels/.rels",
            f'{header}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="r1" Type="{office}" Target="word/document.xml"/></Relationships>',
        )
        write_file(
            archive,
            "word/document.xml",
            f'{header}<w:document xmlns:w="{main}"><w:body>{body}</w:body></w:document>',
        )


def page_content(lines):
    escaped = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in lines]
    shown = "\n".join(f"({line}) Tj T*" for line in escaped)
    return f"BT /F1 12 Tf 16 TL 60 780 Td\n{shown}\nET"


def make_pdf(path, pages):
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, lines in enumerate(pages):
        content = page_content(lines)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >>"
            f" /Contents {5 + 2 * index} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    output = b"%PDF-1.4\n"
    offsets = []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(output))
        output += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    cross_references = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(output)}\n%%EOF\n"
    output += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{cross_references}{trailer}".encode("latin-1")
    path.write_bytes(output)


if __name__ == "__main__":
    make_docx(CORPUS / "policies" / "warranty.docx", WARRANTY)
    make_pdf(CORPUS / "manuals" / "kestrel-gateway.pdf", KESTREL)
