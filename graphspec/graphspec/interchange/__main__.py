"""``python -m graphspec.interchange`` prints the JSON Schema of the document: docs/graphspec.schema.json."""

import json

from graphspec.interchange.document import json_schema

print(json.dumps(json_schema(), indent=2))
