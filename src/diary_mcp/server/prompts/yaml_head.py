"""Front matter of documents and of prompt files.

Imported late: reading YAML costs a noticeable part of a server's start, and few sessions need it.
"""

import yaml


def write_yaml_head(fields: dict[str, object]) -> str:
    """The fields between two `---` lines, in their order."""
    written = yaml.dump(
        fields,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=1_000_000,
    )
    return f"---\n{written}---\n"


def split_yaml_head(text: str) -> tuple[dict[str, object], str]:
    """The fields of a file of our own, and what stands below them."""
    _, head, below = text.split("---\n", 2)
    return yaml.safe_load(head), below


class _Dumper(yaml.SafeDumper):
    """Quotes what is not printable so that it reads back the same: PyYAML 6 loses U+0085."""


def _represent_text(_dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: yaml.SafeDumper, values: list[object]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
