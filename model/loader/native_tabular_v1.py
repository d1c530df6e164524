"""Loads model.onnx for mlflow.pyfunc. Takes a DataFrame of raw columns, gives a DataFrame with one column for each output, on the same index.

Python keeps one copy of a module for each name in a process: this text never changes under this name. A change becomes native_tabular_v2.
"""
import json

import numpy as np
import pandas as pd


def _texts(series):
    """Anything missing is the empty text."""
    return series.astype(object).where(series.notna(), "").to_numpy(object)


def _days(series):
    """Dates, or their ISO texts, as days since 1970; missing is NaN."""
    stamps = pd.to_datetime(series)
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_localize(None)  # the date as it is written, whatever its zone
    return np.floor((stamps - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy(np.float64, na_value=np.nan)


def _integers(series):
    return pd.to_numeric(series).astype("int64").to_numpy()


def _truths(series):
    return series.astype("bool").to_numpy()


def _doubles(series):
    return pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)


_READERS = {"tensor(string)": _texts, "tensor(int64)": _integers, "tensor(bool)": _truths, "tensor(double)": _doubles}


class _Model:
    def __init__(self, path, output):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._notes = json.loads(self._session.get_modelmeta().custom_metadata_map.get("columns", "{}"))
        self._outputs = [node.name for node in self._session.get_outputs()]
        self._only = None if output in (None, "all") else output
        if self._only is not None and self._only not in self._outputs:
            raise ValueError(f"output: expected 'all' or one of {self._outputs}, got {output!r}")

    def _column(self, frame, node):
        note = self._notes.get(node.name, "")
        if node.name in frame:
            series = frame[node.name]
        elif note.startswith("optional"):
            series = pd.Series([None] * len(frame), dtype=object)
        else:
            raise ValueError(f"the column {node.name!r} is missing")
        values = (_days if note.endswith("date") else _READERS[node.type])(series)
        return values if len(node.shape) == 1 else values.reshape(-1, 1)

    def predict(self, data, params=None):
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        feed = {node.name: self._column(frame, node) for node in self._session.get_inputs()}
        answers = dict(zip(self._outputs, self._session.run(self._outputs, feed)))
        return answers[self._only] if self._only else pd.DataFrame(answers, index=frame.index)


def _load_pyfunc(path, model_config=None):
    return _Model(path, (model_config or {}).get("output"))
