"""The pages of `experiments.explore`, a file each; they import Gradio."""
