"""What one would write by hand: FastAPI over onnxruntime, the package's model.onnx, one row or many as dataframe_records or dataframe_split."""
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.path.join(os.environ["BENCH_MODEL"], "model.onnx"), options, providers=["CPUExecutionProvider"])
types = {"tensor(string)": object, "tensor(int64)": np.int64, "tensor(double)": np.float64}
inputs = [(i.name, types[i.type]) for i in session.get_inputs()]
outputs = [o.name for o in session.get_outputs()]
app = FastAPI()


@app.post("/invocations")
async def invocations(request: Request):
    body = await request.json()
    if "dataframe_split" in body:
        split = body["dataframe_split"]
        table = dict(zip(split["columns"], zip(*split["data"])))
    else:
        records = body["dataframe_records"]
        table = {name: [row[name] for row in records] for name, _ in inputs}
    result = session.run(outputs, {name: np.array(table[name], dtype=kind) for name, kind in inputs})
    return {"predictions": [dict(zip(outputs, row)) for row in zip(*(column.tolist() for column in result))]}
