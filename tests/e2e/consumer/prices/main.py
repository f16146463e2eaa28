import numpy as np
from prices import prices_py

prices = prices_py.Prices()
outputs = prices.run(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
print(*outputs.price[:, 0])
