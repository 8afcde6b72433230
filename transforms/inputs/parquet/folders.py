"""Images that stand in a Parquet file lie in no folder, so that no template may ask for one."""

from __future__ import annotations

from transforms.core.reasons import RowError
from transforms.examples.prompt_templates import is_path, parse_template
from transforms.inputs.cells.csv_dialect import shown
from transforms.inputs.options import InputOptions
from transforms.inputs.parquet.files import Footer


def check_folders_of_bytes(footer: Footer, options: InputOptions) -> None:
    """Raises RowError (missing_column) where a template asks for the path of images that stand in the file itself."""
    bulky = footer.bulky(footer.schema.names, options.image_column)
    if all(footer.only_names(column) for column in bulky):
        return
    others = [name for name in footer.schema.names if name not in options.image_column]
    for option in ("prompt", "answer", "system"):
        template = parse_template(getattr(options, option))
        if asked := next((name for name in template.names if is_path(name) and name not in others), ""):
            raise RowError(
                "missing_column",
                f"--{option} asks for {{{asked}}}, but the images stand in the file itself, and have no folder: name a column, "
                f"as --{option} '{{{others[-1] if others else 'label'}}}'; the columns are {shown(footer.schema.names)}",
            )
