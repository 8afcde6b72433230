"""What the demo dataset shows, as tables: its pictures are drawn of them, and its answers are told from them."""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    file: str
    kind: str
    colour: str
    brand: str
    size: str

    @property
    def sku(self) -> str:
        return self.file.split(".")[0].upper()


class Poster(NamedTuple):
    file: str
    colour: str
    lines: tuple[str, ...]
    policy: str  # the rule it breaks, or "none"


class Part(NamedTuple):
    file: str
    form: str
    defect: str
    x: float = 0  # of the defect, in the picture's 400 x 300 units
    y: float = 0

    @property
    def place(self) -> str:
        return f"{'upper' if self.y < 150 else 'lower'} {'left' if self.x < 200 else 'right'}"


class Table(NamedTuple):
    file: str
    colour: str
    title: str
    rows: tuple[tuple[str, ...], ...]


ITEMS = tuple(
    Item(*line.split("|"))
    for line in """mug-01.jpg|mug|red|KAFA|350 ml
mug-02.png|mug|blue|NORD|250 ml
mug-03.jpg|mug|green|KAFA|350 ml
mug-04.webp|mug|white|NORD|300 ml
shoe-01.jpg|shoe|blue|TEMPO|42
shoe-02.jpg|shoe|black|TEMPO|44
shoe-03.webp|shoe|red|STRIDE|39
shoe-04.jpg|shoe|purple|STRIDE|41
shirt-01.jpg|shirt|green|FELD|M
shirt-02.jpg|shirt|blue|FELD|L
shirt-03.bmp|shirt|purple|AKIRA|S
shirt-04.jpg|shirt|orange|AKIRA|XL
lamp-01.jpg|lamp|orange|LUMO|40 cm
lamp-02.png|lamp|pink|LUMO|35 cm
lamp-03.gif|lamp|yellow|HALO|45 cm
bag-01.jpg|bag|brown|RIVA|L
bag-02.webp|bag|black|RIVA|S
bag-03.jpg|bag|red|MONA|M""".splitlines()
)
MISSING = Item("mug-99.jpg", "mug", "yellow", "NORD", "300 ml")  # named by a row, never drawn
BY_SKU = {item.sku: item for item in ITEMS}
WALLS = {
    "mug": (172, 194, 206),
    "shoe": (216, 202, 180),
    "shirt": (206, 204, 214),
    "lamp": (146, 158, 182),
    "bag": (214, 184, 180),
}
POSTERS = (
    Poster("sign-01.jpg", "red", ("WIN NOW", "Click to claim", "your free prize"), "spam"),
    Poster("sign-02.png", "blue", ("CALL US", "555-0142", "ask for Sam"), "contact details"),
    Poster("sign-03.jpg", "yellow", ("WET FLOOR", "Please walk", "with care"), "none"),
    Poster("sign-04.webp", "black", ("REPLICAS", "Watches as good", "as the brand"), "counterfeit goods"),
    Poster("sign-05.jpg", "green", ("BAKE SALE", "Saturday, 10 to 4", "at the library"), "none"),
    Poster("sign-06.jpg", "purple", ("MIRACLE", "Lose 10 kg", "in one day"), "misleading claim"),
    Poster("sign-07.png", "orange", ("OPEN", "Monday to Friday", "9 to 18"), "none"),
    Poster("sign-08.jpg", "pink", ("FREE CASH", "No questions", "asked, today"), "spam"),
)
PARTS = (
    Part("part-01.jpg", "flange", "none"),
    Part("part-02.png", "plate", "none"),
    Part("part-03.jpg", "plate", "scratch", 132, 108),
    Part("part-04.webp", "flange", "scratch", 158, 212),
    Part("part-05.jpg", "plate", "dent", 262, 98),
    Part("part-06.jpg", "flange", "dent", 281, 197),
    Part("part-07.jpg", "plate", "hole", 128, 196),
    Part("part-08.png", "flange", "hole", 283, 102),
)
TRUNCATED = Part("part-09.jpg", "plate", "dent", 270, 200)  # cut off after three fifths of its bytes
FLOWERS = {"daisy": "white", "sunflower": "yellow", "poppy": "red", "tulip": "pink"}
TILES = {"circle": "blue", "square": "orange", "triangle": "green", "hexagon": "purple", "star": "red"}
OUTFITS = {"outfit-01.jpg": ("SHIRT-02", "SHOE-02"), "outfit-02.jpg": ("SHIRT-04", "SHOE-03")}
TABLES = (
    Table("table-01.png", "green", "Cafe Nord, table 7", (
        ("Item", "Qty", "Price"), ("Espresso", "2", "4.80"), ("Croissant", "1", "2.20"), ("Orange juice", "1", "3.50"),
        ("Total", "4", "10.50"))),
    Table("table-02.jpg", "blue", "Departures, platform 3", (
        ("To", "Leaves", "Arrives"), ("Basel", "08:04", "09:01"), ("Bern", "08:32", "09:28"),
        ("Chur", "09:10", "10:25"), ("Geneva", "09:33", "12:18"))),
    Table("table-03.png", "red", "Stock, week 31", (
        ("Part", "Shelf", "In", "Out"), ("Bolt M6", "A1", "1200", "340"), ("Bolt M8", "A2", "800", "415"),
        ("Washer", "B1", "5000", "2750"), ("Bracket", "C4", "96", "12"), ("Flange", "D2", "40", "7"))),
    Table("table-04.webp", "purple", "Oat biscuits, per 100 g", (
        ("Nutrient", "Amount", "Unit"), ("Energy", "1893", "kJ"), ("Fat", "18.2", "g"), ("Sugar", "21.5", "g"),
        ("Fibre", "6.4", "g"), ("Salt", "0.71", "g"))),
    Table("table-05.jpg", "orange", "League, after 10 rounds", (
        ("Team", "Won", "Lost", "Points"), ("Harbour", "8", "2", "24"), ("Old Mill", "6", "4", "18"),
        ("Station", "5", "5", "15"), ("Hillside", "1", "9", "3"))),
    Table("table-06.png", "black", "Rainfall in mm", (
        ("Month", "2021", "2022", "2023"), ("April", "54", "61", "38"), ("May", "72", "49", "80"),
        ("June", "66", "58", "91"))),
)  # fmt: skip
SHELF = ("LAMP-03", "MUG-02", "SHOE-04")  # from top to bottom
THUMBS = tuple(f"thumbs/flower-{i:02d}.jpg" for i in range(1, 41))
