"""The ablation as a document: what each part of `multi_head` is worth, written from the results alone."""

from typing import Any, NamedTuple

from benchmarks.trials import REFERENCE
from model.text import counted


class Part(NamedTuple):
    """A part of the method.

    Attributes:
        title: Name of the part.
        text: Form of the part in `multi_head`.
        variants: Ablations that change the part, with a description of the change.
    """

    title: str
    text: str
    variants: dict[str, str]


PARTS = (
    Part(
        "Heads",
        "A global head on the deep map's average, and local heads on second moments of the deep map and of the shallow one",
        {
            "global_only": "the global head alone, 512 dimensions",
            "parts_only": "the deep map's second moments alone, 512 dimensions",
            "local_only": "the shallow map's second moments alone, 512 dimensions",
            "global_and_parts": "no head on the shallow map",
            "global_and_local": "no second moments of the deep map",
            "parts_and_local": "no average of the deep map",
        },
    ),
    Part(
        "Attention",
        "Second-order attention on every head, which selection may leave out",
        {
            "attention_none": "no attention",
            "attention_kept": "attention that is always trained",
            "attention_nonlocal": "second-order non-local attention, always trained,",
            "attention_channel": "second-order channel attention, always trained,",
            "attention_residual_mask": "a residual mask, always trained,",
        },
    ),
    Part(
        "Losses and their weights",
        "Multi-Similarity and 0.3 of a normalised softmax, whole on the merged vector and half on each head",
        {
            "multi_similarity_only": "no proxy-based loss",
            "normalized_softmax_only": "the proxy-based loss alone",
            "proxy_anchor_instead": "0.03 of Proxy Anchor for the normalised softmax, as the paper prints it,",
            "proxy_anchor_only": "Proxy Anchor alone",
            "proxy_weight_third": "a third of the proxy-based loss",
            "proxy_weight_threefold": "three times the proxy-based loss",
            "loss_on_merged_only": "no loss on the heads",
            "loss_on_heads_only": "no loss on the merged vector",
        },
    ),
    Part(
        "Pooling",
        "Second moments of 64 reduced channels on the local heads",
        {
            "parts_average": "the deep map's channels averaged",
            "local_average": "the shallow map's channels averaged",
        },
    ),
    Part(
        "Init",
        "Projections are initialised in closed form, as whitenings of the training images, and trained relative to it",
        {"init_random": "a random init"},
    ),
    Part(
        "Merge weights",
        "The weights of the local heads in the merged vector are chosen on held-out classes",
        {"weights_one": "weights of 1"},
    ),
)


_VARIANTS = (REFERENCE, *(variant for part in PARTS for variant in part.variants))


def ablation_markdown(results: dict[str, Any]) -> str:
    """The document: a table with columns for each data set, what selection chose, then a paragraph for each part."""
    return "\n".join([*_head(results), *_table(results), *_selected(results), *(_paragraph(part, results) for part in PARTS)])


def _head(results: dict[str, Any]) -> list[str]:
    train, model, sets = results["settings"]["train"], results["settings"]["model"], results["data"]
    tested = "; ".join(
        f"{name}: {one['test']['queries']:,} queries of {one['test']['classes']} classes" for name, one in sets.items()
    )
    seeds = max(row.get("seeds", 0) for one in sets.values() for row in one["methods"].values())
    return [
        "# Ablation",
        "",
        f"What each part of `{REFERENCE}` is worth: one thing changed each, everything else as it is. Written by the command",
        "",
        f"    {results['command']}",
        "",
        f"Trunk {model['trunk']} ({train['trunk']}), {model['image_size']} px, {train['epochs']} epochs.",
        f"Means over {seeds} seeds on unseen classes ({tested}).",
        "The settings of each variant are selected on held-out classes, as `glocal run` selects them. Differences are in points",
        "of MAP@R (hundredths), taken query by query and averaged over seeds, with the 95 % interval of a bootstrap that draws",
        "whole classes. Of many intervals one in twenty misses by chance.",
        "",
    ]


def _table(results: dict[str, Any]) -> list[str]:
    sets = results["data"]
    titles = [f"{name}: {title}" for name in sets for title in ("MAP@R", "Recall@1", "difference")]
    lines = [f"| variant | {' | '.join(titles)} |", "| --- |" + " --- |" * len(titles)]
    for variant in _VARIANTS:
        cells = [cell for one in sets.values() for cell in _cells(one["methods"].get(variant))]
        lines.append(f"| `{variant}` | {' | '.join(cells)} |")
    return [*lines, ""]


def _selected(results: dict[str, Any]) -> list[str]:
    sets = results["data"]
    lines = [
        "What selection chose with seed 0, for all seeds: what is trained, the rate, the epochs, and the weights of the heads.",
        "Where only residuals are trained, attention is switched off; with 0 epochs all training is, and the init is kept.",
        "",
        f"| variant | {' | '.join(sets)} |",
        "| --- |" + " --- |" * len(sets),
    ]
    for variant in _VARIANTS:
        lines.append(f"| `{variant}` | {' | '.join(_chosen(one['methods'].get(variant)) for one in sets.values())} |")
    return [*lines, ""]


def _chosen(row: dict[str, Any] | None) -> str:
    chosen = (row or {}).get("chosen")
    if not chosen:
        return "-"
    trained = "whole heads" if chosen["whole_heads"] else "residuals"
    weights = ", ".join(f"{head} {weight:g}" for head, weight in chosen["weights"].items())
    return f"{trained}, {chosen['learning_rate']:g}, {counted(chosen['epochs'], 'epoch')}; {weights}"


def _cells(row: dict[str, Any] | None) -> tuple[str, str, str]:
    if row is None or "error" in row:
        return ("-", "-", "not run" if row is None else "diverged")
    against = row.get("difference")
    return f"{row['map_at_r']:.4f}", f"{row['recall_at_1']:.4f}", f"{_points(against)} {_interval(against)}" if against else ""


def _paragraph(part: Part, results: dict[str, Any]) -> str:
    sentences = [f"**{part.title}.** {part.text}."]
    for variant, how in part.variants.items():
        rows = {name: one["methods"].get(variant) for name, one in results["data"].items()}
        worth = "; ".join(f"on {name} {_worth(row)}" for name, row in rows.items() if row and "difference" in row)
        sentences.append(f"With {how} instead (`{variant}`), MAP@R changes {worth}." if worth else f"`{variant}` has no figures.")
    return "\n".join([*sentences, f"(`{results['command']}`)", ""])


def _worth(row: dict[str, Any]) -> str:
    low, high = row["difference"]["interval"]
    reading = (
        "below zero: the part pays"
        if high < 0
        else "above zero: the change is better"
        if low > 0
        else "zero included: no clear difference"
    )
    return f"by {_points(row['difference'])} points {_interval(row['difference'])}, {reading}"


def _points(difference: dict[str, Any]) -> str:
    return f"{100 * difference['map_at_r']:+.2f}"


def _interval(difference: dict[str, Any]) -> str:
    low, high = difference["interval"]
    return f"[{100 * low:+.2f}, {100 * high:+.2f}]"
