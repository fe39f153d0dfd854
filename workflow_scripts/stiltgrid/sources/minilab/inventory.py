"""The concepts of the world and their English words, as data.

A concept is named by its first English word; a second word is a synonym (same concept, other form).
"""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "food": ("bread loaf", "apple", "cheese", "soup broth", "fish", "rice", "cake", "egg"),
    "tool": ("hammer", "knife blade", "rope cord", "lamp", "brush", "needle", "bucket pail", "ladder"),
    "animal": ("horse", "dog", "cat", "sheep", "goat", "cow", "duck", "rabbit hare"),
    "garment": ("coat jacket", "shirt", "hat cap", "shoe", "scarf shawl", "glove", "belt", "dress"),
    "vehicle": ("cart wagon", "boat vessel", "train", "bus", "bicycle bike", "truck lorry", "tram", "sled"),
    "document": ("book", "letter", "map", "ticket", "poem verse", "diary journal", "note memo", "stamp"),
}
PLACES = (
    "kitchen", "garden", "market bazaar", "school", "office", "station", "library", "harbor port",
    "hospital clinic", "farm ranch", "forest woods", "workshop",
)
JOBS = (
    "baker", "teacher", "doctor physician", "farmer", "sailor", "painter", "tailor", "judge",
    "nurse", "driver",
)
FOLK = ("child kid", "neighbor", "woman lady", "man", "girl", "boy lad")
ADJECTIVE_PAIRS = (
    ("big large", "small little"), ("old", "new"), ("hot", "cold"), ("clean spotless", "dirty filthy"),
    ("heavy", "light"), ("cheap", "costly expensive"), ("wet damp", "dry"), ("soft", "hard"),
    ("happy glad", "sad"), ("tall", "short"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Object class of each verb: a category, "thing" (any of them), "person", or "" (no object).
VERBS: dict[str, tuple[str, ...]] = {
    "food": ("cook prepare", "eat", "taste", "serve"),
    "tool": ("use employ", "borrow", "repair mend"),
    "animal": ("feed", "chase pursue", "brush groom"),
    "garment": ("sew stitch", "wear", "fold"),
    "vehicle": ("drive steer", "park", "push shove"),
    "document": ("write", "read", "copy"),
    "thing": ("buy purchase", "sell", "find discover", "carry transport", "lose", "paint", "hide conceal"),
    "person": ("help assist", "meet", "call phone", "visit", "follow", "thank", "teach instruct"),
    "": ("sleep", "rest", "wait", "laugh", "dance", "sing"),
}
BE = "be"

GIVEN_NAMES = (
    "Anna", "Bruno", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas",
    "Karin", "Lucas", "Marta", "Nils", "Olga", "Pavel", "Rosa", "Simon", "Tessa", "Viktor",
)
SURNAMES = (
    "Verona", "Lorca", "Moreno", "Tarnov", "Selmer", "Dorval", "Halden", "Corvin",
    "Keller", "Novak", "Silva", "Berger", "Lindt", "Orsini", "Petrov", "Rossi",
)
CITIES = (
    "Verona", "Lorca", "Moreno", "Tarnov", "Selmer", "Dorval", "Halden", "Corvin",
    "Ostia", "Bergen", "Malmar", "Tivoli",
)
ORGANISATION_NOUNS = ("Bank", "Press", "Museum", "Railway")

# Function words of English; the keys are what every language has a form for (or does without).
FUNCTION_WORDS = {
    "the": "the", "a": "a", "in": "in", "on": "on", "from": "from", "to": "to", "for": "for", "with": "with",
    "and": "and", "but": "but", "because": "because", "then": "then", "not": "not", "does": "does", "is": "is",
    "who": "who", "what": "what", "where": "where", "when": "when", "why": "why", "yes": "yes", "no": "no",
    "work": "works", "live": "lives", "whom": "who", "before": "before", "after": "after", "happen": "happens",
    "which": "which",
}
