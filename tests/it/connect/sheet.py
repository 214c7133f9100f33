"""Writes workbooks as people and attackers send them into the folder of the first argument."""

import datetime
import pathlib
import sys
import zipfile

import openpyxl

folder = pathlib.Path(sys.argv[1])


def book():
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Devices"
    return workbook, sheet


def plain():
    workbook, sheet = book()
    cover = workbook.create_sheet("Lists", 0)
    cover.sheet_state = "hidden"
    cover["A1"] = "wrong sheet"
    sheet.merge_cells("A1:C1")
    sheet["A1"] = "Fill in from line 6"
    sheet.append([])
    sheet["A5"], sheet["B5"], sheet["C5"], sheet["D5"], sheet["E5"] = "host", "port", "on", "until", "sum"
    sheet["A6"], sheet["B6"], sheet["C6"] = "007", 22, True
    sheet["D6"] = datetime.datetime(2027, 1, 20, 8, 30)
    sheet["E6"] = "=1+1"
    sheet["F6"] = "  "
    sheet.row_dimensions[7].hidden = True
    sheet["A7"], sheet["B7"], sheet["D7"] = "  é  ", 22.5, datetime.date(1904, 2, 29)
    workbook.save(folder / "plain.xlsx")


def with_cells(name, cells):
    workbook, sheet = book()
    for place, value in cells:
        sheet[place] = value
    workbook.save(folder / name)


def changed(name, part, text, base="plain.xlsx"):
    """A copy of a workbook with one part replaced or added."""
    with zipfile.ZipFile(folder / base) as old, zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            if entry != part:
                new.writestr(entry, old.read(entry))
        new.writestr(part, text)


def lying(name):
    """A copy whose archive says of a part of 8 MiB that it has 10 bytes."""
    changed(name, "xl/media/big.bin", b"\0" * (8 * 1024 * 1024))
    raw = (folder / name).read_bytes()
    size = (8 * 1024 * 1024).to_bytes(4, "little")
    (folder / name).write_bytes(raw.replace(size, (10).to_bytes(4, "little")))


def open_document(name, table, manifest="", styles=""):
    """An OpenDocument workbook with this XML in its tables."""
    spaces = " ".join(f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"' for short in ("office", "table", "text", "style"))
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        new.writestr("META-INF/manifest.xml", f"<manifest:manifest>{manifest}</manifest:manifest>")
        body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
        styles = f"<office:automatic-styles>{styles}</office:automatic-styles>"
        new.writestr("content.xml", f"<?xml version='1.0'?>{entities}<office:document-content {spaces}>{styles}{body}</office:document-content>")


def row(cells, repeated=1):
    return f'<table:table-row table:number-rows-repeated="{repeated}">{cells}</table:table-row>'


def cell(text, repeated=1, inner=""):
    return f'<table:table-cell office:value-type="string" table:number-columns-repeated="{repeated}">{inner}<text:p>{text}</text:p></table:table-cell>'


NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'

plain()
with_cells("far.xlsx", [("A1", "a"), ("XFD1048576", "z")])
with_cells("rows.xlsx", [(f"A{line}", line) for line in range(1, 10_002)])
with_cells("long.xlsx", [("B3", "x" * 16_385)])
changed("bomb.xlsx", "xl/media/big.bin", b"\0" * (65 * 1024 * 1024))
lying("lying.xlsx")
strings = f'<sst {NAMESPACE}><si><t>{"x" * 16_000}</t></si></sst>'
changed("strings.xlsx", "xl/sharedStrings.xml", strings)
cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 5_000))
sheet = f"<worksheet {NAMESPACE}><sheetData>{cells}</sheetData></worksheet>"
changed("repeated.xlsx", "xl/worksheets/sheet2.xml", sheet, base="strings.xlsx")
entities = '<!DOCTYPE x [<!ENTITY a "&#120;"><!ENTITY f SYSTEM "file:///etc/hostname">]>'
sheet = f'{entities}<worksheet {NAMESPACE}><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&f;&a;</t></is></c></row></sheetData></worksheet>'
changed("entity.xlsx", "xl/worksheets/sheet2.xml", sheet)
changed("cut.xlsx", "xl/worksheets/sheet2.xml", f"<worksheet {NAMESPACE}><sheetData><row r='1'><c r='A1'>")
raw = (folder / "plain.xlsx").read_bytes()
(folder / "half.xlsx").write_bytes(raw[: len(raw) // 2])
with zipfile.ZipFile(folder / "other.zip", "w") as other:
    other.writestr("readme", "no workbook")
(folder / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504)
table = "<table:table>{}</table:table>".format
note = "<office:annotation><text:p>note</text:p></office:annotation>"
typed = '<table:table-cell office:value-type="float" office:value="22"/><table:table-cell office:value-type="date" office:date-value="2027-01-20"/>'
hidden = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
lists = f'<table:table table:style-name="h">{row(cell("wrong sheet"))}</table:table>'
plain = row("<table:table-cell/>", 4) + row(cell('a&lt;<text:s text:c="2"/>b') + "<table:table-cell/>" + cell("c", 2, note) + typed)
open_document("plain.ods", lists + table(plain + row("<table:table-cell/>", 1048000)), styles=hidden)
open_document("wide.ods", table(row(cell("x", 1_000_000_000))))
open_document("tall.ods", table(row(cell("x"), 1_000_000_000)))
open_document("blanks.ods", table(row(cell('<text:s text:c="4000000000"/>x'))))
open_document("entity.ods", table(row(cell("&f;&a;"))))
open_document("locked.ods", table(""), manifest="<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>")
open_document("cut.ods", "<table:table>" + row(cell("a")).replace("</table:table-row>", ""))
