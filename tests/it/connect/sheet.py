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
