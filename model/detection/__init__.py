"""Where the enrolled objects are in a scene, and which they are: keypoints localise, heads tell look-alikes apart."""
