"""Components against labels: counts and mean responsibilities."""

from torch import Tensor

from mixvae.evaluation.clustering import clustering

from .examined import Examined
from .html import section, tag, text

MOST_LABELS = 30


def confusion(found: Examined, anchor: str) -> str:
    """Components against labels: counts and mean responsibilities."""
    title, y = "Components and labels", found.rows.y
    if y is None:
        return section(f"{anchor}-labels", title, text("p", "The data have no labels."))
    if not found.assigns:
        why = "No confusion matrix: no example belongs to one component of this model."
        return section(f"{anchor}-labels", title, text("p", why))
    values, counts = y.unique(return_counts=True)
    common = values[counts.argsort(descending=True, stable=True)[:MOST_LABELS]].sort().values
    assigned = found.r.argmax(1)
    what = "Cluster" if found.of_prior else "Component"
    rows = []
    for k in range(found.r.shape[1]):
        cells = [_cell(found, assigned, k, int(c)) for c in common]
        rows.append(text("th", f"{what} {k}", scope="row") + "".join(cells))
    head = "".join(text("th", found.data.class_name(int(c)), scope="col") for c in common)
    caption = (
        "Number of rows of each label that are assigned to each component; below, the mean "
        "responsibility of the component for the label. Darker cells have more of the label."
    )
    body = "".join(tag("tr", row) for row in rows)
    top = tag("thead", tag("tr", text("td", "") + head))
    matrix = tag("table", top + tag("tbody", body), class_="matrix")
    scores = clustering(assigned, y)
    line = (
        f"Agreement on these {len(y):,} rows: accuracy {scores['acc']:.3f}, NMI "
        f"{scores['nmi']:.3f}, adjusted Rand index {scores['ari']:.3f}."
    )
    more = len(values) - len(common)
    left_out = text("p", f"{more} rarer labels are left out.") if more else ""
    box = tag("div", matrix, class_="wide", tabindex="0", role="region", aria_label=caption)
    said = [text("p", words) for words in (line, caption)]
    return section(f"{anchor}-labels", title, *said, box, left_out)


def _cell(found: Examined, assigned: Tensor, k: int, label: int) -> str:
    assert found.rows.y is not None
    own = found.rows.y.eq(label)
    n, mean = int((assigned[own] == k).sum()), float(found.r[own, k].mean())
    share = n / max(1, int(own.sum()))
    shade = round(255 - 200 * share)
    ink = "#fff" if shade < 140 else "#000"
    inner = f"{n}<br>{text('small', f'{mean:.2f}')}"
    return tag("td", inner, style=f"background:rgb({shade},{shade},{shade});color:{ink}")
