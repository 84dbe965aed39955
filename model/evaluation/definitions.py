"""Definitions of the figures of a report, a sentence for each."""

DEFINITIONS = {
    "Query": "An image of a test class that is searched for among all other test images; it cannot find itself, and of two "
    "equal similarities the wrong one counts first.",
    "Untrained trunk": "The pretrained trunk without training: its last feature map averaged, on the same queries.",
    "Recall@K": "The share of queries that have an image of their class among the K nearest.",
    "R": "The number of other images of the query's class.",
    "MAP@R": "The mean, over the R nearest, of the precision at each right one; 1 means that all R are right (Musgrave et al., "
    "A Metric Learning Reality Check, 2020).",
    "R-precision": "The share of the R nearest that are of the query's class.",
    "Interval": "The range of the figure in 95 % of bootstrap resamples, which draw whole classes because images of one class "
    "are not independent.",
    "Gain, paired": "The mean difference in MAP@R to the untrained trunk, query by query, with its interval.",
    "MAP@R on held-out classes": "MAP@R on classes that were not trained on, by which settings and epochs are chosen; "
    "epoch 0 is the init, before any training step.",
    "Time of a query": "From an image's bytes to its neighbours, one query at a time: the median and the fastest of {queries} "
    "queries. Other work on the machine slows single queries and speeds up none, so the gate holds the fastest.",
    "Times the trunk": "The median ratio of a query's time to a pass through the trunk alone right after it: a busy machine "
    "slows both alike.",
    "Size": "All files of the release together, in MiB.",
    "Memory": "The peak resident memory of a fresh process that opens the release, answers a few test images by a search and, if "
    "the release detects, finds objects in them and in a scene; Python and its libraries are part of it.",
    "Verification": "Saying of two images whether they show the same thing: they do if their similarity is above a "
    "threshold, which is higher for images that resemble training classes.",
    "Identification": "Naming an image after its nearest neighbour, or calling it unknown if their similarity is not above a "
    "threshold.",
    "False accepts": "The share of pairs of two classes that are above a threshold; in identification, of queries whose nearest "
    "neighbour of another class is above it, as it would be for a thing that is not in the gallery. More things in a gallery "
    "make false accepts more frequent.",
    "True accepts": "The share of pairs of one class that are above the threshold; in identification, of queries whose nearest "
    "neighbour is right and above it.",
    "Equal error rate": "The share of wrongly refused pairs at the threshold at which as many are wrongly accepted.",
    "Calibrated threshold": "A similarity of the release's calibration.json, set on held-out classes for a stated rate of false "
    "accepts; what it gives on the test classes stands beside it.",
    "AP50": "The area below the curve of precision and recall of detections, best score first; a detection is right if its box "
    "and that of the object share half of their union. The mean over labels, or of boxes whatever their labels.",
}


def definitions(queries: int) -> dict[str, str]:
    """The terms and their definitions.

    Args:
        queries: Number of queries that were timed.
    """
    return {term: sentence.format(queries=queries) for term, sentence in DEFINITIONS.items()}
