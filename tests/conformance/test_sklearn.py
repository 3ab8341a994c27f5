"""Models exported by skl2onnx give what scikit-learn gives: labels, probabilities, predictions, features.

Left out, for faults of the converter that ONNX Runtime shows alike: binary LinearDiscriminantAnalysis (no logistic),
Normalizer("max") of negative numbers, and HistGradientBoosting and VotingClassifier(soft), which it cannot convert.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import (
    calibration,
    cluster,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import graphspec as gs

TOLERANCE = 1e-5
CLASSES, _TARGET = make_classification(
    160, 6, n_informative=4, n_classes=3, n_clusters_per_class=1, random_state=0
)  # fmt: skip
X = CLASSES.astype(np.float32)
THREE = _TARGET
TWO = np.where(_TARGET > 0, "yes", "no")
Y = make_regression(160, 6, random_state=0, noise=1.0)[1] / 100
HOLES = np.where(np.random.default_rng(3).random(X.shape) < 0.1, np.nan, X).astype(np.float32)

CLASSIFIERS = {
    "logistic": linear_model.LogisticRegression(),
    "forest": ensemble.RandomForestClassifier(8, random_state=0),
    "extra-trees": ensemble.ExtraTreesClassifier(8, random_state=0),
    "boosting": ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    "ada": ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
    "bagging": ensemble.BaggingClassifier(n_estimators=4, random_state=0),
    "tree": tree.DecisionTreeClassifier(max_depth=4, random_state=0),
    "svc-rbf": svm.SVC(probability=True, random_state=0),
    "svc-poly": svm.SVC(kernel="poly", probability=True, random_state=0),
    "svc-sigmoid": svm.SVC(kernel="sigmoid", probability=True, random_state=0),
    "svc-linear": svm.SVC(kernel="linear", probability=True, random_state=0),
    "svc-votes": svm.SVC(),
    "nu-svc": svm.NuSVC(nu=0.3, probability=True, random_state=0),
    "linear-svc": svm.LinearSVC(random_state=0),
    "mlp": neural_network.MLPClassifier(8, max_iter=40, random_state=0),
    "neighbors": neighbors.KNeighborsClassifier(3),
    "naive-bayes": naive_bayes.GaussianNB(),
    "calibrated": calibration.CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2),
    "one-vs-rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    "stacking": ensemble.StackingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())], cv=2
    ),
    "scaled": make_pipeline(StandardScaler(), Normalizer("l2"), linear_model.LogisticRegression()),
}
REGRESSORS = {
    "linear": linear_model.LinearRegression(),
    "ridge": linear_model.Ridge(),
    "lasso": linear_model.Lasso(0.01),
    "forest": ensemble.RandomForestRegressor(8, random_state=0),
    "extra-trees": ensemble.ExtraTreesRegressor(8, random_state=0),
    "boosting": ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0),
    "ada": ensemble.AdaBoostRegressor(n_estimators=4, random_state=0),
    "tree": tree.DecisionTreeRegressor(max_depth=4, random_state=0),
    "svr": svm.SVR(),
    "nu-svr": svm.NuSVR(kernel="sigmoid"),
    "linear-svr": svm.LinearSVR(random_state=0),
    "mlp": neural_network.MLPRegressor(hidden_layer_sizes=8, max_iter=40, random_state=0),
    "neighbors": neighbors.KNeighborsRegressor(3),
    "scaled": make_pipeline(MinMaxScaler(), svm.SVR()),
}
TRANSFORMERS = {
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(),
    "robust": RobustScaler(),
    "l1": Normalizer("l1"),
    "l2": Normalizer("l2"),
    "binarizer": Binarizer(threshold=0.3),
    "bins": KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
    "polynomial": PolynomialFeatures(2),
    "pca": decomposition.PCA(3),
    "select": feature_selection.SelectKBest(k=3),
}


@pytest.fixture(autouse=True)
def third_party_warnings() -> Iterator[None]:
    """Deprecations, and fits stopped early on purpose, of scikit-learn and the converter are not ours."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, UserWarning, RuntimeWarning):
            warnings.filterwarnings("ignore", category=category, module=r"(sklearn|skl2onnx|scipy|onnx|numpy)(\.|$)")
        warnings.filterwarnings("ignore", message=".*(did not converge|hasn't converged).*")
        yield


def exported(model: Any, sample: Any, **options: Any) -> gs.Session:
    from skl2onnx import to_onnx

    return gs.Session(gs.load(to_onnx(model, sample, **options)))


@pytest.mark.parametrize("target", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name: str, target: np.ndarray) -> None:
    model = CLASSIFIERS[name].fit(X, target)
    options = {} if name == "linear-svc" else {"options": {id(model): {"zipmap": False}}}
    label, scores = exported(model, X[:1], **options).run({"X": X}).values()
    assert label.tolist() == model.predict(X).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(scores, model.predict_proba(X), atol=TOLERANCE)


def test_multinomial_discriminant_and_its_map() -> None:
    model = discriminant_analysis.LinearDiscriminantAnalysis().fit(X, THREE)
    label, shares = exported(model, X[:1]).run({"X": X}).values()
    assert label.tolist() == model.predict(X).tolist()
    expected = model.predict_proba(X)
    assert [list(row) for row in shares] == [[0, 1, 2]] * len(X)
    np.testing.assert_allclose([list(row.values()) for row in shares], expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name: str) -> None:
    model = REGRESSORS[name].fit(X, Y)
    (found,) = exported(model, X[:1]).run({"X": X}).values()
    np.testing.assert_allclose(found[:, 0], model.predict(X), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["forest", "tree", "linear", "neighbors"])
def test_several_targets(name: str) -> None:
    targets = np.stack([Y, -2 * Y, Y**2], axis=1)
    model = REGRESSORS[name].fit(X, targets)
    (found,) = exported(model, X[:1]).run({"X": X}).values()
    np.testing.assert_allclose(found, model.predict(X), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformer(name: str) -> None:
    model = TRANSFORMERS[name].fit(X, THREE)
    (found,) = exported(model, X[:1]).run({"X": X}).values()
    np.testing.assert_allclose(found, model.transform(X), rtol=TOLERANCE, atol=TOLERANCE)


def test_clusters() -> None:
    model = cluster.KMeans(3, random_state=0, n_init=2).fit(X)
    label, distances = exported(model, X[:1]).run({"X": X}).values()
    assert label.tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(distances, model.transform(X), rtol=1e-4)


def test_isolation_forest() -> None:
    model = ensemble.IsolationForest(n_estimators=10, random_state=0).fit(X)
    label, scores = exported(model, X[:1], target_opset={"": 18, "ai.onnx.ml": 3}).run({"X": X}).values()
    assert label.reshape(-1).tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(scores.reshape(-1), model.decision_function(X), atol=TOLERANCE)


def test_missing_values_and_columns_of_several_kinds() -> None:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    rng = np.random.default_rng(0)
    words = np.array([rng.choice(["red", "green", "blue"], len(X)), rng.choice(["s", "m"], len(X))], dtype=object).T
    table = np.concatenate([HOLES.astype(object), words], axis=1)
    model = make_pipeline(
        ColumnTransformer([
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), list(range(6))),
            ("colour", OneHotEncoder(), [6]),
            ("size", OrdinalEncoder(), [7]),
        ]),
        linear_model.LogisticRegression(),
    ).fit(table, TWO)  # fmt: skip
    kinds = [("numbers", FloatTensorType([None, 6])), ("words", StringTensorType([None, 2]))]
    session = exported(model, None, initial_types=kinds, options={id(model): {"zipmap": False}})
    label, scores = session.run({"numbers": HOLES, "words": words}).values()
    assert label.tolist() == model.predict(table).tolist()
    np.testing.assert_allclose(scores, model.predict_proba(table), atol=TOLERANCE)
