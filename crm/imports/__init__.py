"""CSV and XLSX files in and out: reading them safely, and keeping spreadsheets from running their cells."""
